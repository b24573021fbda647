from __future__ import annotations

import math
import random

import pytest

from loadtest.compare.interval import difference, ratio
from loadtest.compare.sample import Pair


def test_welch_on_a_worked_example() -> None:
    """NIST/SEMATECH-like figures worked by hand: means 3 and 6, variances 2.5 and 10, five runs each."""
    found = difference(Pair((1.0, 2.0, 3.0, 4.0, 5.0), (2.0, 4.0, 6.0, 8.0, 10.0)))
    assert found is not None
    degrees = (0.5 + 2) ** 2 / (0.5**2 / 4 + 2**2 / 4)
    assert degrees == pytest.approx(5.882, abs=1e-3)
    half = 2.4586 * math.sqrt(2.5)  # t of 97.5 % at 5.882 degrees
    assert found.low == pytest.approx(3 - half, abs=0.01)
    # The value is that of the geometric means, which the table shows; it lies in the interval.
    assert found.value == pytest.approx(5.2103 - 2.6052, abs=1e-3)
    assert found.high == pytest.approx(3 + half, abs=0.01)


def test_ratio_of_scaled_runs_is_the_factor_without_width() -> None:
    found = ratio(Pair((2.0, 2.0), (2.4, 2.4)))
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((1.2, 1.2, 1.2))


def test_one_run_gives_an_estimate_without_an_interval() -> None:
    found = ratio(Pair((2.0,), (3.0, 3.1)))
    assert found is not None
    assert found.low is None


def test_no_ratio_with_zeros_and_nothing_with_infinite_figures() -> None:
    assert ratio(Pair((0.0, 1.0), (1.0, 1.0))) is None
    assert difference(Pair((1.0, math.inf), (1.0, 1.0))) is None
    assert difference(Pair((), (1.0,))) is None


def test_interval_of_the_ratio_holds_the_true_one_in_95_of_100() -> None:
    rng = random.Random(20)
    held = 0
    for _ in range(600):
        a = tuple(math.exp(rng.gauss(0, 0.1)) for _ in range(5))
        b = tuple(1.2 * math.exp(rng.gauss(0, 0.2)) for _ in range(5))
        found = ratio(Pair(a, b))
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 1.2 <= found.high
    assert 0.93 <= held / 600 <= 0.975
