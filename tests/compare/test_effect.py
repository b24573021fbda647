from __future__ import annotations

import random

import pytest

from loadtest.compare import effect
from loadtest.compare.interval import ratio
from loadtest.compare.sample import Pair


def test_cliffs_delta_counts_pairs() -> None:
    assert effect.cliffs_delta([1, 2, 3], [4, 5, 6]) == 1
    assert effect.cliffs_delta([1, 2, 3], [1, 2, 3]) == 0
    assert effect.cliffs_delta([2, 2], [1, 3]) == 0
    assert effect.cliffs_delta([3, 4], [1, 3]) == -0.75
    assert effect.cliffs_delta([], [1]) is None


@pytest.mark.parametrize(("delta", "word"), [(0.1, "negligible"), (-0.2, "small"), (0.4, "medium"), (-1.0, "large")])
def test_effect_has_its_word(delta: float, word: str) -> None:
    assert effect.in_words(delta) == word


def test_minimum_detectable_effect_is_the_one_of_metrics() -> None:
    """METRICS: MDE ~ 2.8 * CV * sqrt(2/n)."""
    assert effect.minimum_detectable(0.05, 5, 5) == pytest.approx(2.8 * 0.05 * (2 / 5) ** 0.5)
    assert effect.minimum_detectable(None, 5, 5) is None
    assert effect.minimum_detectable(0.05, 0, 5) is None


def test_runs_needed_invert_it_and_are_never_fewer_than_a_verdict_needs() -> None:
    needed = effect.runs_needed(0.3, 0.2)
    shown = effect.minimum_detectable(0.3, needed, needed)
    assert shown is not None
    assert shown <= 0.2
    assert effect.runs_needed(0.001, 0.5) == 4


def test_an_effect_of_that_size_is_found_four_times_out_of_five() -> None:
    """By the z of a large sample, for which the rule is made: 30 runs, interval without 1."""
    rng, found = random.Random(4), 0
    size = effect.minimum_detectable(0.1, 30, 30)
    assert size is not None
    for _ in range(300):
        a = tuple(rng.gauss(1, 0.1) for _ in range(30))
        b = tuple((1 + size) * rng.gauss(1, 0.1) for _ in range(30))
        estimate = ratio(Pair(a, b))
        assert estimate is not None
        found += (estimate.low or 0) > 1
    assert 0.72 <= found / 300 <= 0.87
