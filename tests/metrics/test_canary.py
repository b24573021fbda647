"""When a canary is due: a table over what has been told of the clients, and when the last one went out."""

from __future__ import annotations

import pytest

from loadtest.clock import NS_PER_S
from loadtest.metrics.canary import CanaryRule
from loadtest.metrics.recovery import RecoveryCurve

T0 = 500 * NS_PER_S
RULE = CanaryRule(0.9, 10 * NS_PER_S)


def at(seconds: float) -> int:
    return T0 + round(seconds * NS_PER_S)


def curve(*happenings: tuple[float, str, int], population: int = 10) -> RecoveryCurve:
    """All are dropped a second after t0; then `number` more of them reach a stage at a time."""
    made = RecoveryCurve(T0, population)
    for stage in (made.connected, made.acknowledged, made.subscribed):
        stage(at(1), -population)
    made.primary_drop(at(1), population)
    for seconds, stage, number in happenings:
        getattr(made, stage)(at(seconds), number)
    return made


NINE = (20.0, "acknowledged", 9)
REACHED = (26.0, "subscribed", 9)
LATE = (28.0, "acknowledged", 1)

# what happened, every worker heard until, the last canary, whether one is due
TABLE = [
    ("nobody is back", (), 20.0, None, False),
    ("connected is not enough", ((20.0, "connected", 10),), 20.0, None, False),
    ("too few are subscribed", ((20.0, "acknowledged", 8),), 20.0, None, False),
    ("just enough are", (NINE,), 20.0, None, True),
    ("not every worker has told of that time", (NINE,), 19.9, None, False),
    ("and some of them were dropped since, as one worker tells", (NINE, (21.0, "acknowledged", -1)), 20.5, None, False),
    ("a message has reached them all", (NINE, (20.0, "subscribed", 9)), 20.0, None, False),
    ("all but one", (NINE, (20.0, "subscribed", 8)), 20.0, None, True),
    ("all of P are back", ((20.0, "acknowledged", 10), (21.0, "subscribed", 10)), 40.0, at(20), False),
    ("the last canary was for an event before", (NINE,), 20.0, at(-1), True),
    ("it is on its way", (NINE,), 29.9, at(20), False),
    ("it has not brought them back in its time", (NINE,), 30.0, at(20), True),
    ("it has, and nobody came after it", (NINE, REACHED), 30.0, at(20), False),
    ("a straggler waits for the next", (NINE, REACHED, LATE), 30.0, at(20), True),
    ("but not before its time", (NINE, REACHED, LATE), 29.0, at(20), False),
    ("so many were dropped again", (NINE, (25.0, "acknowledged", -2)), 30.0, at(20), False),
]


@pytest.mark.parametrize(
    ("happenings", "heard_s", "last_ns", "due"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_canary_is_due_when_enough_clients_wait_for_it(
    happenings: tuple[tuple[float, str, int], ...], heard_s: float, last_ns: int | None, due: bool
) -> None:
    assert RULE.is_due(curve(*happenings), at(heard_s), last_ns) is due


@pytest.mark.parametrize(
    ("share", "population", "needed"),
    [(0.999, 1000, 999), (0.999, 1001, 1000), (0.9995, 1_000_000, 999_500), (0.29, 100, 29), (1.0, 7, 7), (0.1, 1, 1)],
)
def test_share_means_so_many_clients_at_least(share: float, population: int, needed: int) -> None:
    rule = CanaryRule(share, NS_PER_S)
    assert rule.is_due(curve((5.0, "acknowledged", needed), population=population), at(5), None)
    assert not rule.is_due(curve((5.0, "acknowledged", needed - 1), population=population), at(5), None)


def test_nothing_is_due_before_every_worker_has_told_who_it_had() -> None:
    """P of one worker alone: its clients are back, those of the others have not been told of."""
    early = RecoveryCurve(T0, 10)
    early.acknowledged(at(0.1), -10)
    early.subscribed(at(0.1), -10)
    early.acknowledged(at(0.5), 10)
    assert not RULE.is_due(early, at(2.9), None)
    assert RULE.is_due(early, at(3.0), None)


def test_an_event_of_nobody_needs_none() -> None:
    assert not RULE.is_due(RecoveryCurve(T0), at(20), None)
