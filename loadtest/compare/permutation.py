"""Test many metrics of the same runs at once, so that A against A is called different in one comparison of twenty.

    which runs are the candidate's? ---- every other choice of as many runs ----> the largest |t| over all metrics
    p of a metric = share of the choices whose largest |t| reaches the |t| that was seen

If the two versions do not differ, every choice of runs is as likely as the one that was made: the test is exact for any
distribution, and because a metric is held against the largest of all metrics, the chance that *any* of them is called
different stays below 5 %, however they hang together. Metrics may be split into families, each with its share of the
5 %: then the noise of one family does not hide a difference in another.

A version's runs can always be chosen back, so p is never below 1 / choices: with three runs each (20 choices, each
counted with its mirror image) nothing reaches 5 %, and with two families five are needed. That is what "too few runs"
means here.

Source: Westfall and Young (1993), single-step maxT; the floor in the denominator after Tusher, Tibshirani, Chu (2001).
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from itertools import combinations, product

Column = Sequence[float | None]

ALPHA = 0.05
FLOOR = 0.01
"""Of `Pair.scaled`: run-to-run variation below 1 % is not believed, it would make a hair's breadth significant."""

MOST_CHOICES = 5_000


def smallest_p(n_a: int, n_b: int) -> float:
    """Return the smallest p that this many runs can reach."""
    choices = math.comb(n_a + n_b, n_a)
    return min(1.0, (2 if n_a == n_b else 1) / choices)


def runs_for_a_verdict(families: int) -> int:
    """Return how many runs of each version are needed for p to fall below 5 % at all."""
    return next(n for n in range(1, 100) if families * smallest_p(n, n) <= ALPHA)


def families_p(columns: Sequence[tuple[str, Column]], n_a: int, of_block: Sequence[int] = ()) -> list[float]:
    """Return the p of each metric, held over its family by `family_p` and over the families by their number.

    Args:
        columns: the family of each metric, and its figures as `family_p` takes them.
    """
    names = list(dict.fromkeys(name for name, _ in columns))
    found = {name: iter(family_p([c for of, c in columns if of == name], n_a, of_block)) for name in names}
    return [min(1.0, len(names) * next(found[name])) for name, _ in columns]


def family_p(columns: Sequence[Column], n_a: int, of_block: Sequence[int] = (), seed: int = 1) -> list[float]:
    """Return the p of each metric, held over all of them.

    Args:
        columns: per metric one figure per run on its scale, the baseline's `n_a` runs first; None where there is none.
        of_block: the block of each run: only choices with as many of the candidate's runs in each block are tried.
        seed: of the choices that are tried where there are too many to try all.

    Cost: choices x metrics x runs; 0.1 s for 15 metrics of 5 and 5 runs, 1 s for 10 and 10.
    """
    if not columns:
        return []
    runs = len(columns[0])
    metrics = [_Metric(column) for column in columns]
    seen = [metric.statistic(range(n_a, runs)) for metric in metrics]
    reached = [0] * len(columns)
    tried = 0
    for choice in _choices(of_block or (0,) * runs, n_a, seed):
        tried += 1
        largest = max(metric.statistic(choice) for metric in metrics)
        for at, value in enumerate(seen):
            reached[at] += largest >= value - 1e-9
    return [count / tried for count in reached]


def _choices(of_block: Sequence[int], n_a: int, seed: int) -> Iterator[Sequence[int]]:
    members = [[run for run, at in enumerate(of_block) if at == block] for block in sorted(set(of_block))]
    chosen = [sum(run >= n_a for run in block) for block in members]
    if math.prod(math.comb(len(block), count) for block, count in zip(members, chosen, strict=True)) <= MOST_CHOICES:
        for parts in product(*map(combinations, members, chosen)):
            yield [run for part in parts for run in part]
        return
    yield range(n_a, len(of_block))
    rng = random.Random(seed)
    for _ in range(MOST_CHOICES - 1):
        yield [run for block, count in zip(members, chosen, strict=True) for run in rng.sample(block, count)]


class _Metric:
    """Sums of one metric's figures, from which the statistic of any choice follows."""

    def __init__(self, column: Column) -> None:
        known = [value for value in column if value is not None]
        self._count = len(known)
        level = sum(known) / self._count if known else 0.0
        self._values = [None if value is None else value - level for value in column]  # centred: no cancellation
        self._sum = sum(value for value in self._values if value is not None)
        self._squares = sum(value * value for value in self._values if value is not None)

    def statistic(self, candidate: Sequence[int]) -> float:
        """Return |t| of the difference between the chosen runs and the others; 0 where a side has fewer than two."""
        count_b, sum_b, squares_b = 0, 0.0, 0.0
        for at in candidate:
            value = self._values[at]
            if value is not None:
                count_b += 1
                sum_b += value
                squares_b += value * value
        count_a = self._count - count_b
        if count_a < 2 or count_b < 2:
            return 0.0
        sum_a, squares_a = self._sum - sum_b, self._squares - squares_b
        variance_a = max(0.0, squares_a - sum_a * sum_a / count_a) / (count_a - 1)
        variance_b = max(0.0, squares_b - sum_b * sum_b / count_b) / (count_b - 1)
        error = math.sqrt(variance_a / count_a + variance_b / count_b)
        error += FLOOR * math.sqrt(1 / count_a + 1 / count_b)
        return abs(sum_b / count_b - sum_a / count_a) / error
