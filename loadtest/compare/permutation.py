"""Test many metrics of the same runs at once, so that A against A is called different in one comparison of twenty.

    which runs are the candidate's? ---- every other choice of as many runs ----> the largest |t| over all metrics
    p of a metric = share of the choices whose largest |t| reaches the |t| that was seen

If the two versions do not differ, every choice of runs is as likely as the one that was made: the test is exact for any
distribution, and because a metric is held against the largest of all metrics, the chance that *any* of them is called
different stays below 5 %, however they hang together. Metrics may be split into families, each with its share of the
5 %: then the noise of one family does not hide a difference in another.

A version's runs can always be chosen back, so p is never below 1 / choices: with three runs each (20 choices, each
counted with its mirror image) nothing reaches ALPHA, nor with a few more where a family has a small share. That is what
"too few runs" means here.

Where versions ran interleaved, figures come without the mean of their block and are dealt out anew over all runs, and
|t| is that of the two-way layout: drift does not drown what neighbours show. That test is not exact, but close.

Source: Westfall and Young (1993), single-step maxT; Freedman and Lane (1983) for blocks; Tusher, Tibshirani and Chu
(2001) for the floor in the denominator.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Column = Sequence[float | None]
Figures = NDArray[np.float64]
Choices = NDArray[np.bool_]
Orders = NDArray[np.intp]

ALPHA = 0.04
"""Of equal versions at most one comparison in twenty may call a difference: this leaves room, since the test of
interleaved runs is not exact."""
FLOOR = 0.01
"""Of `Pair.scaled`: run-to-run variation below 1 % is not believed, it would make a hair's breadth significant."""

MOST_CHOICES = 20_000


def smallest_p(n_a: int, n_b: int) -> float:
    """Return the smallest p that this many runs can reach."""
    choices = math.comb(n_a + n_b, n_a)
    return min(1.0, (2 if n_a == n_b else 1) / choices)


def runs_for_a_verdict(share: float) -> int:
    """Return how many runs of each version are needed for p to reach ALPHA at all, in a family with that share."""
    return next(n for n in range(1, 100) if smallest_p(n, n) / share <= ALPHA)


def families_p(
    columns: Sequence[Column], families: Sequence[tuple[str, float]], n_a: int, of_block: Sequence[int] = ()
) -> list[float]:
    """Return the p of each metric, held over its family by `family_p` and over the families by their shares.

    Args:
        columns: as `family_p` takes them.
        families: the family of each metric, and its share of ALPHA; the shares of all families sum to 1.
    """
    found = {
        name: iter(family_p([c for c, (of, _) in zip(columns, families, strict=True) if of == name], n_a, of_block))
        for name in dict.fromkeys(name for name, _ in families)
    }
    return [min(1.0, next(found[name]) / share) for name, share in families]


def family_p(columns: Sequence[Column], n_a: int, of_block: Sequence[int] = (), seed: int = 1) -> list[float]:
    """Return the p of each metric, held over all of them.

    Args:
        columns: per metric one figure per run on its scale, the baseline's `n_a` runs first; None where there is none.
        of_block: the block of each run, as many of each version in every block; () is one block.
        seed: of the choices that are tried where there are too many to try all.

    Cost: choices x metrics x runs, as arrays: 10 ms for 12 metrics of 5 and 5 runs.
    """
    if not columns:
        return []
    figures = np.array([[math.nan if value is None else value for value in column] for column in columns])
    runs = figures.shape[1]
    if len(set(of_block)) > 1:
        orders = _orders(runs, seed)
        # A metric that some run lacks has no blocks (`Pair.blocks`): its figures stay with their runs.
        statistics = [
            _between(_dealt(orders, n_a), row) if np.isnan(row).any() else _within_blocks(orders, row, n_a, of_block)
            for row in figures
        ]
    else:
        choices = _choices(runs, n_a, seed)
        statistics = [_between(choices, row) for row in figures]
    largest = np.max(statistics, axis=0)
    return [float(np.mean(largest >= each[0] - 1e-9)) for each in statistics]


def _choices(runs: int, n_a: int, seed: int) -> Choices:
    """Return which runs are the candidate's, one row each: as they are, then every other choice or many at random."""
    if math.comb(runs, n_a) > MOST_CHOICES:
        return _dealt(_orders(runs, seed), n_a)
    real = tuple(range(n_a, runs))
    chosen = [real, *(choice for choice in combinations(range(runs), runs - n_a) if choice != real)]
    rows = np.zeros((len(chosen), runs), dtype=bool)
    np.put_along_axis(rows, np.array(chosen, dtype=np.intp).reshape(len(chosen), -1), values=True, axis=1)
    return rows


def _orders(runs: int, seed: int) -> Orders:
    """Return orders of the runs, one row each: as they are, then many at random."""
    rows = np.tile(np.arange(runs), (MOST_CHOICES, 1))
    rows[1:] = np.random.default_rng(seed).permuted(rows[1:], axis=1)
    return rows


def _dealt(orders: Orders, n_a: int) -> Choices:
    """Return which runs are the candidate's when the first `n_a` of an order are the baseline's."""
    rows = np.zeros(orders.shape, dtype=bool)
    np.put_along_axis(rows, orders[:, n_a:], values=True, axis=1)
    return rows


def _between(choices: Choices, row: Figures) -> Figures:
    """Return |t| between the chosen runs and the others for each choice; 0 where a side has fewer than two figures."""
    known = ~np.isnan(row)
    if not known.any():
        return np.zeros(len(choices))
    values = np.where(known, row - row[known].mean(), 0.0)  # centred: no cancellation
    count_b = (choices & known).sum(axis=1)
    count_a = known.sum() - count_b
    enough = (count_a > 1) & (count_b > 1)
    a, b = np.maximum(count_a, 2), np.maximum(count_b, 2)
    sum_b, squares_b = choices @ values, choices @ values**2
    sum_a, squares_a = values.sum() - sum_b, (values**2).sum() - squares_b
    error = sum(
        np.maximum(squares - sums**2 / count, 0.0) / (count - 1) / count
        for sums, squares, count in ((sum_a, squares_a, a), (sum_b, squares_b, b))
    )
    t = np.abs(sum_b / b - sum_a / a) / (np.sqrt(error) + FLOOR * np.sqrt(1 / a + 1 / b))
    return np.where(enough, t, 0.0)


def _within_blocks(orders: Orders, row: Figures, n_a: int, of_block: Sequence[int]) -> Figures:
    """Return |t| of the two-way layout (version and block) for each order in which the figures are dealt out."""
    runs = len(row)
    members = np.equal.outer(np.array(of_block), np.unique(of_block))  # run x block
    sides = np.where(np.arange(runs) < n_a, -1.0, 1.0)
    values = row[orders]
    gap = values @ sides * 2 / runs  # blocks hold as many of each version, so their means cancel
    of_blocks = ((values @ members) ** 2 / members.sum(axis=0)).sum(axis=1)
    squares = (values**2).sum(axis=1) - of_blocks - runs * gap**2 / 4
    error = np.sqrt(np.maximum(squares, 0.0) / (runs - members.shape[1] - 1))
    return np.asarray(np.abs(gap) / ((error + FLOOR) * math.sqrt(4 / runs)))
