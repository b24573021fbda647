"""The figures of one metric, one per run, of a baseline and a candidate, on the scale on which they are compared.

    all above 0 and finite     "log"      times, rates: what differs is a ratio; recovery times always (METRICS)
    some 0, all finite         "linear"   losses, counts of what should not happen
    some infinite              "rank"     a recovery that did not come is longer than every other, and no number

The law of this file: a figure that a run does not have is in no sample, and its run is named beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median, variance
from typing import Literal

Scale = Literal["log", "linear", "rank"]


@dataclass(frozen=True, slots=True)
class Pair:
    """The figures of the two groups, None where a run has none; `math.inf` is "watched, and it did not come"."""

    baseline: tuple[float | None, ...]
    candidate: tuple[float | None, ...]

    @property
    def a(self) -> list[float]:
        """The baseline's figures that are there."""
        return [value for value in self.baseline if value is not None]

    @property
    def b(self) -> list[float]:
        """The candidate's figures that are there."""
        return [value for value in self.candidate if value is not None]

    @property
    def scale(self) -> Scale:
        """On which scale they are compared."""
        values = self.a + self.b
        if any(math.isinf(value) for value in values):
            return "rank"
        return "log" if all(value > 0 for value in values) else "linear"

    def scaled(self) -> list[float | None]:
        """Return all figures, baseline first, on the scale, which has no unit: 0.01 is about 1 % on each."""
        values = [*self.baseline, *self.candidate]
        if self.scale == "log":
            return [None if value is None else math.log(value) for value in values]
        if self.scale == "rank":
            values = ranks(values)
        known = [abs(value) for value in values if value is not None]
        level = fmean(known) if any(known) else 1.0
        return [None if value is None else value / level for value in values]


def ranks(values: Sequence[float | None]) -> list[float | None]:
    """Return the rank of each value, 1 for the smallest, ties sharing their mean rank; None stays None."""
    order = sorted(value for value in values if value is not None)
    place: dict[float, float] = {}
    for value in set(order):
        first = order.index(value)
        place[value] = first + (order.count(value) + 1) / 2
    return [None if value is None else place[value] for value in values]


def centre(values: Sequence[float], scale: Scale) -> float | None:
    """Return the one figure that stands for a group: geometric mean, mean, or median by scale; None of nothing."""
    if not values:
        return None
    if scale == "rank":
        low, high = sorted(values)[(len(values) - 1) // 2], sorted(values)[len(values) // 2]
        return high if math.isinf(high) else (low + high) / 2
    return math.exp(fmean(map(math.log, values))) if scale == "log" else fmean(values)


def spread(pair: Pair) -> float | None:
    """Return the run-to-run coefficient of variation, pooled over both groups; None where it cannot be said.

    On a log scale it is the standard deviation of the logarithms, which is the same for small ones.
    """
    scale, a, b = pair.scale, pair.a, pair.b
    freedom = max(len(a) - 1, 0) + max(len(b) - 1, 0)
    if scale == "rank" or not freedom:
        return None
    groups = [[math.log(x) for x in group] if scale == "log" else group for group in (a, b)]
    pooled = sum((len(group) - 1) * variance(group) for group in groups if len(group) > 1) / freedom
    if scale == "log":
        return math.sqrt(pooled)
    level = fmean(a) if a else 0.0
    if not level:
        return 0.0 if pooled == 0 else None
    return math.sqrt(pooled) / abs(level)


def typical(values: Sequence[float]) -> float | None:
    """Return the median of a stretch of figures, infinite where half of them are; None of nothing."""
    return None if not values else centre(values, "rank") if any(map(math.isinf, values)) else median(values)
