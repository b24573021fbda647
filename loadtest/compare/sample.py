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
from statistics import fmean, median
from typing import Literal

from loadtest.compare.blocks import centred

Scale = Literal["log", "linear", "rank"]


@dataclass(frozen=True, slots=True)
class Pair:
    """The figures of the two groups, None where a run has none; `math.inf` is "watched, and it did not come".

    `of_block` is the block of each run, baseline first (see `blocks`); () is one block.
    """

    baseline: tuple[float | None, ...]
    candidate: tuple[float | None, ...]
    of_block: tuple[int, ...] = ()

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

    @property
    def blocks(self) -> tuple[int, ...]:
        """The block of each run; all are one where a run has no figure, since means of a block would not compare."""
        values = (*self.baseline, *self.candidate)
        return self.of_block if self.of_block and None not in values else (0,) * len(values)

    def scaled(self) -> list[float | None]:
        """Return all figures, baseline first, on the scale and without their block's mean where there are blocks.

        It has no unit: 0.01 is about 1 % on each scale.
        """
        values = self._on_scale()
        return centred(values, self.blocks) if len(set(self.blocks)) > 1 else values

    def _on_scale(self) -> list[float | None]:
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
    if pair.scale == "rank":
        return None
    logarithms = pair.scale == "log"
    deviation = residual(pair, logarithms=logarithms)
    if deviation is None or logarithms:
        return None if deviation is None else deviation[0]
    level = fmean(pair.a) if pair.a else 0.0
    if not level:
        return 0.0 if deviation[0] == 0 else None
    return deviation[0] / abs(level)


def residual(pair: Pair, *, logarithms: bool) -> tuple[float, int] | None:
    """Return the standard deviation of runs around their version and their block, and its degrees of freedom.

    Args:
        logarithms: of the figures' logarithms. Figures must be finite, and then above 0.
    """
    known = [None if value is None else math.log(value) if logarithms else value for value in pair.baseline]
    known += [None if value is None else math.log(value) if logarithms else value for value in pair.candidate]
    moved, split = centred(known, pair.blocks), len(pair.baseline)
    sides = [[value for value in side if value is not None] for side in (moved[:split], moved[split:])]
    freedom = sum(len(side) - 1 for side in sides if side) - (len(set(pair.blocks)) - 1)
    if freedom < 1:
        return None
    squares = sum((value - fmean(side)) ** 2 for side in sides if side for value in side)
    return math.sqrt(squares / freedom), freedom


def typical(values: Sequence[float]) -> float | None:
    """Return the median of a stretch of figures, infinite where half of them are; None of nothing."""
    return None if not values else centre(values, "rank") if any(map(math.isinf, values)) else median(values)
