"""Judging bystanders: windows, seconds, what never came, and when slow messages are more than chance."""

from __future__ import annotations

from typing import Any

import pytest

from loadtest.clock import NS_PER_MS, NS_PER_S
from loadtest.metrics.bystanders import Member, Window, is_degraded, judge, window_s
from loadtest.metrics.others import BystanderPart
from tests.metrics.wires import T, through_msgpack

H = 10
DEADLINE_NS = 2 * NS_PER_S
WINDOW = Window(T, H * NS_PER_S, DEADLINE_NS, T + 60 * NS_PER_S)
RATE = 20


def messages(from_s: float = -H, to_s: float = H, channel: int = 0) -> list[tuple[int, int]]:
    """(scheduled time, channel) of `RATE` messages a second around T."""
    count = round((to_s - from_s) * RATE)
    return [(T + round(from_s * NS_PER_S) + at * NS_PER_S // RATE, channel) for at in range(count)]


def receipts(slot: int, before_ms: float, after_ms: float | None, channel: int = 0) -> list[tuple[int, int, int]]:
    """What `slot` received of `messages()`; None: nothing after."""
    told = []
    for sched_ns, _ in messages(channel=channel):
        latency_ms = before_ms if sched_ns < T else after_ms
        if latency_ms is not None:
            told.append((sched_ns, round(latency_ms * NS_PER_MS), slot))
    return told


def members(*slots: int, since_s: float = -60, channels: tuple[int, ...] = (0,)) -> dict[int, Member]:
    return {slot: Member(channels, T + round(since_s * NS_PER_S)) for slot in slots}


def part(*args: Any) -> BystanderPart:
    return BystanderPart.read(through_msgpack(judge(*args)))


def counts(told: BystanderPart) -> tuple[int, int, int]:
    """Messages that came before and after, and those that did not."""
    before = sum(latencies.count for second, _, latencies in told.seconds if second < 0)
    after = sum(latencies.count for second, _, latencies in told.seconds if second >= 0)
    return before, after, sum(missing for _, missing, _ in told.seconds)


def test_a_client_whose_messages_came_as_before_is_not_degraded() -> None:
    told = part(members(1, 2), messages(), receipts(1, 3, 3) + receipts(2, 3, 5.9), WINDOW)
    assert (told.clients, told.judged, told.degraded) == (2, 2, 0)
    assert counts(told) == (2 * H * RATE, 2 * H * RATE, 0)


def test_a_client_above_twice_the_baseline_is_degraded_and_the_others_are_not() -> None:
    told = part(members(1, 2, 3), messages(), receipts(1, 3, 3) + receipts(2, 3, 6.1) + receipts(3, 3, 3), WINDOW)
    assert (told.judged, told.degraded) == (3, 1)


def test_what_never_came_is_later_than_everything() -> None:
    told = part(members(1, 2), messages(), receipts(1, 3, 3) + receipts(2, 3, None), WINDOW)
    assert (told.judged, told.degraded) == (2, 1)
    assert counts(told) == (2 * H * RATE, H * RATE, H * RATE)


def test_a_copy_behind_the_deadline_never_came() -> None:
    told = part(members(1, 2), messages(), receipts(1, 3, 3) + receipts(2, 3, 2_001), WINDOW)
    assert (told.degraded, counts(told)[2]) == (1, H * RATE)


def test_only_members_and_only_windows_count() -> None:
    told = part(members(1), messages(-3 * H, 3 * H), receipts(1, 3, 3) + receipts(7, 3, 900), WINDOW)
    assert counts(told) == (H * RATE, H * RATE, 0)
    assert sorted(second for second, *_ in told.seconds) == list(range(-H, H))


def test_messages_of_other_channels_are_not_due() -> None:
    told = part(members(1), messages() + messages(channel=5), receipts(1, 3, 3), WINDOW)
    assert counts(told)[2] == 0


def test_a_client_that_came_late_counts_from_its_first_whole_second_on() -> None:
    received = [row for row in receipts(1, 3, 3) if row[0] >= T - round(3.5 * NS_PER_S)]
    told = part(members(1, since_s=-3.5), messages(), received, WINDOW)
    assert counts(told) == (3 * RATE, H * RATE, 0)


def test_messages_that_may_yet_come_are_left_out() -> None:
    young = WINDOW._replace(settled_ns=T + 4 * NS_PER_S - 1)
    told = part(members(1), messages(), receipts(1, 3, 3), young)
    assert counts(told) == (H * RATE, 4 * RATE, 0)


@pytest.mark.parametrize("before", [0, 99])
def test_nobody_is_judged_by_a_baseline_of_too_little(before: int) -> None:
    due = [row for row in messages() if row[0] >= T] + [row for row in messages() if row[0] < T][:before]
    known = {sched_ns for sched_ns, _ in due}
    told = part(members(1), due, [row for row in receipts(1, 3, 9) if row[0] in known], WINDOW)
    assert (told.clients, told.judged, told.degraded) == (1, 0, 0)


def test_nobody_is_judged_by_a_baseline_in_which_messages_were_lost() -> None:
    received = [row for row in receipts(1, 3, 9) if row[0] >= T - 9 * NS_PER_S]
    assert part(members(1), messages(), received, WINDOW).judged == 0


def test_nobody_is_there() -> None:
    told = part({}, messages(), [], WINDOW)
    assert told == (0, 0, 0, [])


# slow of messages: more than one of 100, and more than chance would have of it
@pytest.mark.parametrize(
    ("slow", "of", "degraded"),
    [
        (0, 5, False), (1, 5, False), (2, 5, True), (1, 50, False), (3, 30, True), (2, 50, False), (5, 50, True),
        (10, 1000, False), (11, 1000, False), (17, 1000, False), (19, 1000, True), (1000, 1000, True),
        (200_000, 10_000_000, True), (100_000, 10_000_000, False),
    ],
)  # fmt: skip
def test_a_slow_message_of_few_may_be_chance(slow: int, of: int, degraded: bool) -> None:
    assert is_degraded(slow, of) is degraded


@pytest.mark.parametrize(("hold_s", "window"), [(0.2, 1), (1, 1), (1.5, 2), (10, 10), (60, 60), (600, 60)])
def test_windows_are_whole_seconds_and_bounded(hold_s: float, window: int) -> None:
    assert window_s(hold_s) == window


GOOD = judge(members(1), messages(), receipts(1, 3, 3), WINDOW)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"clients": -1}, "bystanders"),
        ({"judged": 2}, "bystanders judged"),
        ({"judged": 0, "degraded": 1}, "bystanders degraded"),
        ({"seconds": []}, "seconds"),
        ({"seconds": {second: [0, {}] for second in range(121)}}, "seconds"),
        ({"seconds": {"0": [0, {}]}}, "second of bystanders"),
        ({"seconds": {60: [0, {}]}}, "second of bystanders"),
        ({"seconds": {0: [0]}}, "2 entries"),
        ({"seconds": {0: [-1, {"i": b"", "n": b""}]}}, "missing"),
        ({"seconds": {0: [0, {"i": b"x", "n": b""}]}}, "histogram"),
    ],
)
def test_what_is_wrong_with_a_part_is_named(change: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        BystanderPart.read(GOOD | change)
    with pytest.raises(ValueError, match="object"):
        BystanderPart.read([GOOD])
