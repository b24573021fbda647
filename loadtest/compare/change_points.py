"""Find where a metric's history changed: cut it where its step is strongest, and look at both sides again.

    3 3 3 2 3 | 7 8 7 7 | 3 3 2          a cut stays if shuffled histories rarely have one as strong (p <= 1 %)

Judged on ranks, so that one outlier is no change and a recovery that did not come is simply the largest.

Source: binary segmentation, Scott and Knott (1974), over windows of several lengths as in MOSUM procedures; permutation
test as in E-Divisive, Matteson and James (2014).
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from loadtest.compare.sample import ranks, typical

LEAST_RUNS = 4
"""On each side of a change: of fewer runs no change can be told from chance."""

SHUFFLES = 499
P_AT_MOST = 0.01


@dataclass(frozen=True, slots=True)
class Change:
    """The history changed with run `at` (an index): the medians before and after, of the stretches it separates."""

    at: int
    before: float
    after: float


def change_points(values: Sequence[float], seed: int = 1) -> list[Change]:
    """Return the changes of a history, oldest first; `math.inf` is a value like any other.

    Cost: shuffles x length x log(length) for each stretch.
    """
    cuts = sorted(_cuts(values, 0, random.Random(seed)))
    edges = [0, *cuts, len(values)]
    found = []
    for place, at in enumerate(cuts):
        before, after = typical(values[edges[place] : at]), typical(values[at : edges[place + 2]])
        if before is not None and after is not None:
            found.append(Change(at, before, after))
    return found


def _cuts(values: Sequence[float], offset: int, rng: random.Random) -> list[int]:
    if len(values) < 2 * LEAST_RUNS:
        return []
    ranked = [rank or 0.0 for rank in ranks(values)]
    at, strength = _strongest(ranked)
    shuffled = list(ranked)
    as_strong = 1
    for _ in range(SHUFFLES):
        rng.shuffle(shuffled)
        as_strong += _strongest(shuffled)[1] >= strength
    if as_strong / (SHUFFLES + 1) > P_AT_MOST:
        return []
    return [*_cuts(values[:at], offset, rng), offset + at, *_cuts(values[at:], offset + at, rng)]


def _strongest(ranked: Sequence[float]) -> tuple[int, float]:
    """Return the cut with the strongest step, and how strong: a difference of means by the lengths it is held over.

    Each cut is looked at over 4, 8, 16 ... runs to both sides: a stretch that came and went hides from whole sides.
    """
    sums = list(accumulate(ranked, initial=0.0))
    length = len(ranked)
    best, strength = LEAST_RUNS, -1.0
    for at in range(LEAST_RUNS, length - LEAST_RUNS + 1):
        reach = LEAST_RUNS
        while True:
            first, last = max(0, at - reach), min(length, at + reach)
            before, after = at - first, last - at
            step = (sums[last] - sums[at]) / after - (sums[at] - sums[first]) / before
            weight = abs(step) * math.sqrt(before * after / (before + after))
            if weight > strength:
                best, strength = at, weight
            if first == 0 and last == length:
                break
            reach *= 2
    return best, strength
