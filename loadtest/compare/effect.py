"""How large a difference is, and how small a one these runs could have shown.

Source: Cliff (1993), Vargha and Delaney (2000) for the words; METRICS for the minimum detectable effect.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

DETECTION = 2.8
"""(z of 97.5 % + z of 80 %): a difference this many standard errors large is found four times out of five."""

_WORDS = ((0.147, "negligible"), (0.33, "small"), (0.474, "medium"))


def cliffs_delta(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Return P(b > a) - P(b < a) over all pairs of runs, -1 .. 1; None when a group is empty."""
    if not a or not b:
        return None
    return sum((y > x) - (y < x) for x in a for y in b) / (len(a) * len(b))


def in_words(delta: float) -> str:
    """Return what a Cliff's delta is called: negligible, small, medium, large."""
    return next((word for bound, word in _WORDS if abs(delta) < bound), "large")


def minimum_detectable(variation: float | None, n_a: int, n_b: int) -> float | None:
    """Return the smallest relative effect that `n_a` and `n_b` runs find four times out of five: 0.12 is 12 %.

    Args:
        variation: the run-to-run coefficient of variation, None when unknown.
    """
    if variation is None or not n_a or not n_b:
        return None
    return DETECTION * variation * math.sqrt(1 / n_a + 1 / n_b)


def runs_needed(variation: float, effect: float) -> int:
    """Return how many runs of each version would find a relative `effect` (0.2 is 20 %) four times out of five."""
    return max(4, math.ceil(2 * (DETECTION * variation / effect) ** 2))
