"""Which runs ran next to each other, so that what drifts with time is taken out of a comparison.

    by time:   A B B A | A B B A | A B        blocks of at least four runs, as many of A as of B in each
    figures:   minus the mean of their block                  a machine that slows down for an hour moves both alike

A machine changes from minute to minute more than a version does; versions that ran interleaved (`bench-versions`) can
be compared within blocks of neighbours. Where they did not run interleaved, or are too few, all runs are one block.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

LEAST_IN_BLOCK = 4
LEAST_FREEDOM = 5
"""Degrees of freedom that must be left for the variation of runs, once versions and blocks have theirs."""


def blocks(times: Sequence[str], n_a: int) -> tuple[int, ...]:
    """Return the block of each run.

    Args:
        times: when each run started, ISO-8601, the baseline's `n_a` runs first; an empty one is unknown.
    """
    one = (0,) * len(times)
    order = sorted(range(len(times)), key=lambda run: times[run])
    if not all(times) or 2 * n_a != len(times):
        return one
    found = [0] * len(times)
    block, held, surplus = 0, 0, 0
    for run in order:
        found[run] = block
        held += 1
        surplus += 1 if run < n_a else -1
        if surplus == 0 and held >= LEAST_IN_BLOCK:
            block, held = block + 1, 0
    if len(times) - len(set(found)) - 1 < LEAST_FREEDOM:
        return one
    return tuple(found)


def centred(values: Sequence[float | None], of_block: Sequence[int]) -> list[float | None]:
    """Return each figure minus the mean of its block."""
    means = {}
    for block in set(of_block):
        known = [value for value, at in zip(values, of_block, strict=True) if at == block and value is not None]
        means[block] = fmean(known) if known else 0.0
    return [None if value is None else value - means[at] for value, at in zip(values, of_block, strict=True)]
