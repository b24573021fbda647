"""Outages by their table of transitions, and the law that following late equals following from the start."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.herd.outage import REMEMBERED_NS, Outages
from loadtest.herd.slots import Slots
from loadtest.herd.states import CONNECTING, IDLE, JOINING, LIVE, SUBSCRIBING, WAITING

MS = 1_000_000


class Crowd:
    """Slots whose lives are told to `Outages` as the herd tells them; one step is one millisecond."""

    def __init__(self, size: int) -> None:
        self.slots = Slots()
        self.slots.add(range(size))
        self.outages = Outages(self.slots)
        self.now_ns = 100 * MS

    def do(self, slot: int, what: str) -> None:
        """Move a slot on if `what` fits its state, as the herd would."""
        self.now_ns += MS
        state, now_ns = self.slots.state[slot], self.now_ns
        if what == "attempt" and state in (IDLE, WAITING):
            self.outages.attempted(now_ns)
            self.slots.set(slot, CONNECTING)
        elif what == "connect" and state == CONNECTING:
            self.slots.set(slot, JOINING)
            self.outages.connected(slot, now_ns)
        elif what == "join" and state == JOINING:
            self.slots.set(slot, SUBSCRIBING)
            self.slots.awaits_canary[slot] = 1
        elif what == "subscribe" and state == SUBSCRIBING:
            self.slots.set(slot, LIVE)
            self.slots.live_since[slot] = now_ns
            self.outages.subscribed(slot, now_ns)
            if not self.slots.awaits_canary[slot]:
                self.outages.recovered(slot, now_ns)
        elif what == "canary" and self.slots.awaits_canary[slot]:
            self.slots.awaits_canary[slot] = 0
            if state == LIVE:
                self.outages.recovered(slot, now_ns)
        elif what == "drop" and state not in (IDLE, WAITING):
            if state >= JOINING:
                self.outages.dropped(slot, now_ns, was_subscribed=state == LIVE)
            self.slots.awaits_canary[slot] = 0
            self.slots.set(slot, WAITING)

    def all(self, *steps: str, slots: range | None = None) -> None:
        for slot in slots if slots is not None else range(len(self.slots)):
            for what in steps:
                self.do(slot, what)


BACK = ("attempt", "connect", "join", "subscribe", "canary")


def test_members_are_who_was_subscribed() -> None:
    crowd = Crowd(4)
    crowd.all(*BACK, slots=range(2))
    crowd.all("attempt", "connect", "join", slots=range(2, 3))
    outage = crowd.outages.follow("e", crowd.now_ns)
    assert outage.curve.population == 2


# (what happens to a member, after: connected, acknowledged, subscribed, secondary drops, dropped)
TABLE = [
    ((), 1, 1, 1, 0, 0),
    (("drop",), 0, 0, 0, 0, 1),
    (("drop", "attempt"), 0, 0, 0, 0, 1),
    (("drop", "attempt", "connect"), 1, 0, 0, 0, 1),
    (("drop", "attempt", "connect", "drop"), 0, 0, 0, 0, 1),
    (("drop", "attempt", "connect", "join", "subscribe"), 1, 1, 0, 0, 1),
    (("drop", *BACK), 1, 1, 1, 0, 1),
    (("drop", *BACK, "drop"), 0, 0, 0, 1, 1),
    (("drop", *BACK, "drop", *BACK), 1, 1, 1, 1, 1),
    (("drop", "attempt", "connect", "join", "canary"), 1, 0, 0, 0, 1),
    (("drop", "attempt", "connect", "join", "canary", "subscribe"), 1, 1, 1, 0, 1),
    (("drop", "attempt", "connect", "join", "subscribe", "drop"), 0, 0, 0, 0, 1),
]


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(("steps", "connected", "acknowledged", "subscribed", "secondary", "dropped"), TABLE)
def test_transitions_of_a_member(
    steps: tuple[str, ...],
    connected: int,
    acknowledged: int,
    subscribed: int,
    secondary: int,
    dropped: int,
    late: bool,
) -> None:
    crowd = Crowd(1)
    crowd.all(*BACK)
    t0_ns = crowd.now_ns
    outage = None if late else crowd.outages.follow("e", t0_ns)
    crowd.all(*steps)
    curve = (outage or crowd.outages.follow("e", t0_ns)).curve
    assert (curve.connected_now, curve.acknowledged_now, curve.subscribed_now) == (connected, acknowledged, subscribed)
    assert (curve.secondary_drops, curve.dropped, curve.population) == (secondary, dropped, 1)
    assert curve.attempts == steps.count("attempt")


def test_who_was_never_a_member_counts_only_as_a_secondary_drop() -> None:
    crowd = Crowd(1)
    outage = crowd.outages.follow("e", crowd.now_ns)
    crowd.all(*BACK, "drop", "attempt", "connect", "drop")
    assert (outage.curve.population, outage.curve.secondary_drops, outage.curve.dropped) == (0, 1, 0)
    assert outage.curve.connected_now == 0


def test_session_lost_at_t0_itself_belongs_to_it() -> None:
    crowd = Crowd(2)
    crowd.all(*BACK)
    crowd.all("drop")
    outage = crowd.outages.follow("e", crowd.now_ns - MS)
    assert (outage.curve.population, outage.curve.dropped) == (2, 2)


def test_session_begun_after_t0_is_no_member_even_if_lost_since() -> None:
    crowd = Crowd(1)
    crowd.all("attempt", "connect", "join")
    t0_ns = crowd.now_ns
    crowd.all("subscribe", "drop")
    assert crowd.outages.follow("e", t0_ns).curve.population == 0


def test_several_events_at_a_time_and_leaving_one() -> None:
    crowd = Crowd(1)
    crowd.all(*BACK)
    first = crowd.outages.follow("a", crowd.now_ns)
    second = crowd.outages.follow("b", crowd.now_ns)
    crowd.outages.unfollow(first)
    crowd.all("drop")
    assert (first.curve.dropped, second.curve.dropped) == (0, 1)


def test_slots_that_come_later_have_a_place() -> None:
    crowd = Crowd(1)
    outage = crowd.outages.follow("e", crowd.now_ns)
    crowd.slots.add(range(1, 3))
    crowd.outages.grow(3)
    crowd.all(*BACK, "drop")
    assert outage.curve.secondary_drops == 3


def test_memory_is_bounded_by_time_and_reaches_back_far_enough() -> None:
    crowd = Crowd(1)
    kept = []
    for round_ in range(4 * REMEMBERED_NS // (1000 * MS)):
        crowd.all(*BACK, "drop")
        crowd.now_ns += 1000 * MS
        oldest = crowd.now_ns - REMEMBERED_NS
        kept.append(len(list(crowd.outages._recent.since(0))))
        if round_ > REMEMBERED_NS // (1000 * MS):
            assert next(crowd.outages._recent.since(oldest))[0] < oldest + 1100 * MS
    assert max(kept) <= 6 * 2 * (REMEMBERED_NS // (1000 * MS) + 2)


STEP = st.tuples(st.integers(0, 3), st.sampled_from([*BACK, *BACK, "drop"]))


@settings(max_examples=80, deadline=None)
@given(before=st.lists(STEP, max_size=60), after=st.lists(STEP, max_size=60), grown=st.booleans())
def test_following_late_is_following_from_the_start(
    before: list[tuple[int, str]], after: list[tuple[int, str]], grown: bool
) -> None:
    crowd = Crowd(4)
    crowd.all(*BACK, slots=range(2))
    for slot, what in before:
        crowd.do(slot, what)
    t0_ns = crowd.now_ns
    live = crowd.outages.follow("live", t0_ns)
    if grown:
        crowd.slots.add(range(4, 5))
        crowd.outages.grow(5)
        crowd.all(*BACK, "drop", slots=range(4, 5))
    half = len(after) // 2
    for slot, what in after[:half]:
        crowd.do(slot, what)
    late = crowd.outages.follow("late", t0_ns)
    for slot, what in after[half:]:
        crowd.do(slot, what)
    assert late._flags == live._flags
    assert late.curve.take() == live.curve.take()
