"""Every fault once, in the order in which they became due."""

from __future__ import annotations

import random

import pytest

from loadtest.faults.schedule import Schedule, Slot
from loadtest.profile.faults import DropFault


def test_due_gives_each_fault_once_at_its_moment() -> None:
    schedule = Schedule([Slot("early", at_s=5), Slot("steady", after_steady_s=2), Slot("both-none")])
    assert schedule.due(4.99, None) == ()
    assert schedule.due(5.0, None) == ("early",)
    assert schedule.due(100.0, None) == ()
    assert schedule.due(100.0, 0.0) == ("both-none",)
    assert schedule.due(101.9, 1.9) == ()
    assert schedule.due(102.0, 2.0) == ("steady",)
    assert schedule.due(1e9, 1e9) == ()
    assert schedule.pending == ()


def test_due_after_a_late_look_orders_by_moment_across_both_clocks() -> None:
    schedule = Schedule([Slot("c", after_steady_s=3), Slot("b", at_s=11), Slot("a", after_steady_s=0)])
    assert schedule.due(20.0, 10.0) == ("a", "b", "c")


def test_due_keeps_the_order_of_the_profile_for_equal_moments() -> None:
    assert Schedule([Slot("x", at_s=1), Slot("y", at_s=1)]).due(1, None) == ("x", "y")


def test_pending_names_what_never_became_due() -> None:
    schedule = Schedule([Slot("a", at_s=1), Slot("b", after_steady_s=0)])
    schedule.due(50.0, None)
    assert schedule.pending == ("b",)


@pytest.mark.parametrize("seed", range(20))
def test_due_gives_all_exactly_once_however_irregular_the_looks(seed: int) -> None:
    rng = random.Random(seed)
    slots = [Slot(f"f{n}", **{rng.choice(["at_s", "after_steady_s"]): rng.uniform(0, 50)}) for n in range(20)]
    schedule, steady_at, given, now = Schedule(slots), rng.uniform(0, 20), [], 0.0
    while now < 80:
        now += rng.expovariate(1.0)
        for name in schedule.due(now, now - steady_at if now >= steady_at else None):
            slot = slots[int(name[1:])]
            moment = slot.at_s if slot.at_s is not None else steady_at + (slot.after_steady_s or 0)
            assert moment <= now
            given.append(name)
    assert sorted(given) == sorted(slot.name for slot in slots)


def test_slot_of_a_profile_table() -> None:
    fault = DropFault.model_validate({"kind": "drop", "name": "cut", "after_steady": "10s"})
    assert Slot.of(fault) == Slot("cut", None, 10.0)
