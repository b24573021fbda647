"""What capacity brings everybody back in time: the storm model, asked the other way round.

Law: a larger capacity never recovers later, so the least one that is enough is found by halving. It is never below
N / time: nobody is admitted faster than the capacity admits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from loadtest.errors import UsageError
from loadtest.model.simulation import predict
from loadtest.model.storm import Storm

_PRECISION = 0.01
_MOST_DOUBLINGS = 40


@dataclass(frozen=True, slots=True)
class Plan:
    """The least capacity that brings `percent` of the clients back within `within_s`, and its storm number."""

    within_s: float
    percent: str
    capacity_per_s: float
    storm_number: float


def capacity_for(storm: Storm, within_s: float, percent: str = "99") -> Plan:
    """Return the capacity that the storm needs, to 1 %; the storm's own is not looked at.

    Args:
        within_s: above 0, since the drop began.

    Raises:
        UsageError: no capacity is enough: the waits alone take longer.
    Cost: about 15 predictions, each no longer than `within_s`.
    """
    low = float(percent) / 100 * storm.clients / within_s
    high = low
    for _ in range(_MOST_DOUBLINGS):
        if _enough(storm, high, within_s, percent):
            break
        low, high = high, high * 2
    else:
        raise UsageError(f"no capacity brings {percent} % back within {within_s:g} s: clients wait longer than that")
    while high / low > 1 + _PRECISION:
        middle = (low * high) ** 0.5
        if _enough(storm, middle, within_s, percent):
            high = middle
        else:
            low = middle
    return Plan(within_s, percent, high, replace(storm, capacity_per_s=high).number)


def recovery_by_number(storm: Storm, numbers: Iterable[float], percent: str = "99") -> list[tuple[float, float | None]]:
    """Return (S, seconds until `percent` of the clients are back) for systems that differ in capacity alone.

    Cost: one prediction each.
    """
    cycle_s = storm.give_up_s + storm.mean_backoff_s
    return [
        (
            number,
            predict(replace(storm, capacity_per_s=storm.clients / (number * cycle_s)), None, percent).recovered_s[
                percent
            ],
        )
        for number in numbers
    ]


def _enough(storm: Storm, capacity_per_s: float, within_s: float, percent: str) -> bool:
    told = predict(replace(storm, capacity_per_s=capacity_per_s), within_s, percent)
    return told.recovered_s[percent] is not None
