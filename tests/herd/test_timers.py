from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

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


def test_arming_in_the_past_while_iterating_waits_for_the_next_call() -> None:
    timers = wheel()
    timers.arm(0, 20 * MS)
    fired = []
    for slot in timers.expired(500 * MS):
        fired.append(slot)
        timers.arm(slot, 20 * MS)
        assert len(fired) < 5, "a slot without a wait would spin for ever"
    assert fired == [0]
    assert list(timers.expired(509 * MS)) == []
    assert list(timers.expired(510 * MS)) == [0]


def test_clock_that_stands_still_or_a_long_pause_loses_nothing() -> None:
    timers = wheel()
    assert list(timers.expired(0)) == []
    timers.arm(0, 10 * MS)
    timers.arm(1, 3_600_000 * MS)
    assert list(timers.expired(3_599_999 * MS)) == [0]
    assert list(timers.expired(3_599_999 * MS)) == []
    assert list(timers.expired(3_600_000 * MS)) == [1]


def test_replaced_and_cancelled_entries_leave_no_bucket_behind() -> None:
    timers = wheel()
    for at in range(1, 200):
        timers.arm(0, at * 10 * MS)
    timers.cancel(0)
    assert list(timers.expired(3000 * MS)) == []
    assert not timers._buckets


def test_slots_that_come_later_have_no_timer() -> None:
    timers = wheel(2)
    timers.grow(4)
    timers.arm(3, 10 * MS)
    assert list(timers.expired(10 * MS)) == [3]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("arm"), st.integers(0, 3), st.integers(-50, 400)),
        st.tuples(st.just("cancel"), st.integers(0, 3), st.just(0)),
        st.tuples(st.just("wait"), st.integers(0, 10), st.integers(0, 60)),
    ),
    max_size=40,
)


@given(steps=STEPS)
def test_wheel_is_a_table_of_deadlines(steps: list[tuple[str, int, int]]) -> None:
    timers, now = wheel(4), 0
    due: dict[int, int] = {}
    for what, number, ms in steps:
        if what == "arm":
            timers.arm(number, now + ms * MS)
            due[number] = max(now + 1, now + ms * MS)
        elif what == "cancel":
            timers.cancel(number)
            due.pop(number, None)
        else:
            now += ms * MS
            # A caller may stop early (after `number` slots) and comes again at once.
            fired = [slot for _, slot in zip(range(number), timers.expired(now), strict=False)]
            fired += timers.expired(now)
            assert len(fired) == len(set(fired))
            for slot in fired:
                assert due.pop(slot) <= now, "early"
            assert all(at > now - 10 * MS for at in due.values()), "more than a tick late"
