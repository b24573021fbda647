"""Estimates with their 95 % intervals: a difference, a ratio.

On the figures for the difference, on their logarithms for the ratio: Welch's interval, which does not ask for equal
spreads; where runs were interleaved, that of the two-way layout (version and block), which drift does not widen. Fewer
than two runs in a group leave an estimate without an interval: run-to-run variation is unknown then.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance

from loadtest.compare.sample import Pair, centre, residual
from loadtest.compare.student import quantile

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and the interval that holds the true one with 95 % confidence; None where runs are too few to say."""

    value: float
    low: float | None = None
    high: float | None = None

    def as_json(self) -> dict[str, float | None]:
        return {"value": self.value, "low": self.low, "high": self.high}


def difference(pair: Pair) -> Estimate | None:
    """Return candidate - baseline in the metric's unit; None where a figure is infinite or a group has none.

    The value is that of the two centres, so that a table adds up.
    """
    scale = pair.scale
    a, b = centre(pair.a, scale), centre(pair.b, scale)
    if a is None or b is None or scale == "rank":
        return None
    spans = _interval(pair, pair.a, pair.b, logarithms=False)
    if spans is None:
        return Estimate(b - a)
    middle, half = spans
    return Estimate(b - a, min(middle - half, b - a), max(middle + half, b - a))


def ratio(pair: Pair) -> Estimate | None:
    """Return candidate / baseline; None unless every figure is above 0 and finite."""
    if pair.scale != "log" or not pair.a or not pair.b:
        return None
    a, b = ([math.log(value) for value in values] for values in (pair.a, pair.b))
    spans = _interval(pair, a, b, logarithms=True)
    if spans is None:
        return Estimate(math.exp(fmean(b) - fmean(a)))
    middle, half = spans
    return Estimate(math.exp(middle), math.exp(middle - half), math.exp(middle + half))


def _interval(pair: Pair, a: Sequence[float], b: Sequence[float], *, logarithms: bool) -> tuple[float, float] | None:
    """Return the difference of the means and half the width of its interval; None with fewer than two in a group."""
    if len(set(pair.blocks)) == 1:
        return _welch(a, b)
    deviation = residual(pair, logarithms=logarithms)
    if deviation is None:
        return None
    error = deviation[0] * math.sqrt(1 / len(a) + 1 / len(b))
    return fmean(b) - fmean(a), quantile((1 + CONFIDENCE) / 2, deviation[1]) * error


def _welch(a: Sequence[float], b: Sequence[float]) -> tuple[float, float] | None:
    """Return the difference of the means and half the width of its interval; None with fewer than two in a group."""
    if len(a) < 2 or len(b) < 2:
        return None
    parts = [variance(group) / len(group) for group in (a, b)]
    middle, square = fmean(b) - fmean(a), sum(parts)
    if square == 0:
        return middle, 0.0
    degrees = square**2 / sum(part**2 / (len(group) - 1) for part, group in zip(parts, (a, b), strict=True))
    return middle, quantile((1 + CONFIDENCE) / 2, degrees) * math.sqrt(square)
