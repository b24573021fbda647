"""Against published tables of Student's t (Abramowitz and Stegun, table 26.10), and the closed forms for 1 and 2."""

from __future__ import annotations

import math

import pytest

from loadtest.compare.student import cdf, quantile


@pytest.mark.parametrize(
    ("probability", "degrees", "t"),
    [
        (0.975, 1, 12.706),
        (0.975, 2, 4.303),
        (0.975, 4, 2.776),
        (0.975, 8, 2.306),
        (0.995, 8, 3.355),
        (0.95, 30, 1.697),
        (0.975, 120, 1.980),
        (0.975, 1e6, 1.960),
    ],
)
def test_quantile_is_the_one_of_the_tables(probability: float, degrees: float, t: float) -> None:
    assert quantile(probability, degrees) == pytest.approx(t, abs=6e-4)
    assert quantile(1 - probability, degrees) == pytest.approx(-t, abs=6e-4)


@pytest.mark.parametrize("t", [-30.0, -2.5, -0.1, 0.0, 0.7, 3.0, 100.0])
def test_cdf_has_the_closed_forms_of_one_and_two_degrees(t: float) -> None:
    assert cdf(t, 1) == pytest.approx(0.5 + math.atan(t) / math.pi, abs=1e-12)
    assert cdf(t, 2) == pytest.approx(0.5 + t / (2 * math.sqrt(2 + t * t)), abs=1e-12)


def test_quantile_and_cdf_are_inverse_between_whole_degrees() -> None:
    for degrees in (1.3, 4.7, 11.25, 333.3):
        for probability in (0.501, 0.9, 0.999):
            assert cdf(quantile(probability, degrees), degrees) == pytest.approx(probability, abs=1e-9)


def test_infinite_t_is_certain() -> None:
    assert (cdf(math.inf, 3), cdf(-math.inf, 3)) == (1.0, 0.0)
