"""Goodput, waste, shed, and a target that stays down although the cause is gone."""

from __future__ import annotations

import pytest

from loadtest.clock import NS_PER_S
from loadtest.metrics.demand import Demand, is_refusal
from loadtest.metrics.event import Event
from loadtest.metrics.recovery import RecoveryCurve

T0_S = 100
POPULATION = 1000


def event_of(back_s: int | None) -> Event:
    """A deploy at `T0_S` that drops everybody at once; all are back after `back_s`."""
    t0_ns = T0_S * NS_PER_S
    curve = RecoveryCurve(t0_ns, POPULATION)
    curve.primary_drop(t0_ns, POPULATION)
    curve.subscribed(t0_ns, -POPULATION)
    if back_s is not None:
        curve.subscribed(t0_ns + back_s * NS_PER_S, POPULATION)
    return Event("deploy", "deploy", t0_ns, curve)


def demand_of(attempts: int, whole: int, seconds: int, refused: int = 0) -> Demand:
    """A ramp of 100 a second, then `attempts` a second after the drop, of which `whole` succeed."""
    demand = Demand(cycle_s=4.0)
    for second in range(10):
        demand.add(second * NS_PER_S, {"attempts": 100, "subscribed": 100}, {})
    for second in range(T0_S, T0_S + seconds):
        demand.add(second * NS_PER_S, {"attempts": attempts, "subscribed": whole}, {"http_503": refused, "eof": 1})
    return demand


def test_goodput_waste_and_shed_are_counted_from_the_drop_on() -> None:
    figures = demand_of(attempts=80, whole=30, seconds=12, refused=20).figures(event_of(12), (T0_S + 60) * NS_PER_S)
    assert figures["goodput_peak_per_s"] == 30
    assert figures["shed"] == 0.25
    assert figures["waste"] == 0.5  # 60 a second were let in, 30 came through
    assert figures["metastable"] is False


def test_nothing_attempted_gives_no_figures() -> None:
    figures = Demand(4.0).figures(event_of(None), (T0_S + 5) * NS_PER_S)
    assert [figures[key] for key in ("goodput_peak_per_s", "shed", "waste", "metastable")] == [None] * 4


@pytest.mark.parametrize(
    ("attempts", "whole", "seconds", "stuck"),
    [
        (90, 10, 60, True),  # it could do 100 a second, and does 10 of 90 for three cycles of five
        (300, 10, 60, False),  # more is asked than it has ever done: overload
        (90, 80, 60, False),
        (2, 2, 60, False),  # a tail: hardly anybody asks
        (90, 10, 15, None),  # over before it could be told
    ],
)
def test_target_is_metastable_when_it_stays_down_with_the_cause_gone(
    attempts: int, whole: int, seconds: int, stuck: bool | None
) -> None:
    demand = demand_of(attempts, whole, seconds)
    assert demand.figures(event_of(None), (T0_S + seconds) * NS_PER_S)["metastable"] is stuck


def test_target_that_came_back_at_last_was_metastable_all_the_same() -> None:
    figures = demand_of(90, 10, 40).figures(event_of(60), (T0_S + 100) * NS_PER_S)
    assert figures["metastable"] is True


def test_cause_that_is_still_there_is_no_metastable_failure() -> None:
    event = event_of(None)
    event.lasts = True
    assert demand_of(90, 10, 60).figures(event, (T0_S + 60) * NS_PER_S)["metastable"] is None
    event.undone((T0_S + 50) * NS_PER_S)
    assert demand_of(90, 10, 60).figures(event, (T0_S + 60) * NS_PER_S)["metastable"] is None


@pytest.mark.parametrize(
    ("reason", "refusal"), [("refused", True), ("http_503", True), ("eof", False), ("reset", False)]
)
def test_refusal_is_what_the_target_says_no_to(reason: str, refusal: bool) -> None:
    assert is_refusal(reason) is refusal
