from __future__ import annotations

from loadtest.herd.timers import TimerWheel

MS = 1_000_000


def wheel(slots: int = 8) -> TimerWheel:
    made = TimerWheel(start_ns=0, tick_ns=10 * MS)
    made.grow(slots)
    return made


def test_timer_fires_once_never_early_at_most_one_tick_late() -> None:
    timers = wheel()
    timers.arm(3, 25 * MS)
    assert list(timers.expired(24 * MS)) == []
    assert list(timers.expired(29 * MS)) == []
    assert list(timers.expired(30 * MS)) == [3]
    assert list(timers.expired(100 * MS)) == []


def test_arming_again_replaces_the_earlier_time() -> None:
    timers = wheel()
    timers.arm(1, 20 * MS)
    timers.arm(1, 50 * MS)
    assert list(timers.expired(40 * MS)) == []
    assert list(timers.expired(50 * MS)) == [1]


def test_cancelled_timer_does_not_fire() -> None:
    timers = wheel()
    timers.arm(1, 20 * MS)
    timers.cancel(1)
    assert list(timers.expired(1000 * MS)) == []


def test_timer_in_the_past_fires_at_the_next_tick() -> None:
    timers = wheel()
    assert list(timers.expired(500 * MS)) == []
    timers.arm(2, 10 * MS)
    assert list(timers.expired(510 * MS)) == [2]


def test_stopping_early_loses_nothing() -> None:
    timers = wheel()
    for slot in range(5):
        timers.arm(slot, 20 * MS)
    first = next(iter(timers.expired(30 * MS)))
    rest = list(timers.expired(30 * MS))
    assert sorted([first, *rest]) == [0, 1, 2, 3, 4]


def test_rearming_while_iterating_fires_later() -> None:
    timers = wheel()
    timers.arm(0, 20 * MS)
    fired = []
    for slot in timers.expired(25 * MS):
        fired.append(slot)
        timers.arm(slot, 40 * MS)
    assert fired == [0]
    assert list(timers.expired(40 * MS)) == [0]
