from __future__ import annotations

import math

import pytest

from loadtest.compare.sample import Pair, centre, ranks, spread, typical

INF = math.inf


@pytest.mark.parametrize(
    ("a", "b", "scale"),
    [((1.0, 2.0), (3.0,), "log"), ((0.0, 2.0), (3.0,), "linear"), ((1.0,), (INF,), "rank"), ((0.0,), (INF,), "rank")],
)
def test_scale_follows_the_figures(a: tuple[float, ...], b: tuple[float, ...], scale: str) -> None:
    assert Pair(a, b).scale == scale


def test_missing_figures_stay_missing_on_every_scale() -> None:
    assert Pair((1.0, None), (math.e,)).scaled() == [0.0, None, 1.0]
    assert Pair((0.0, None), (3.0,)).scaled() == [0.0, None, 2.0]
    assert Pair((7.0, None), (INF,)).scaled() == [pytest.approx(2 / 3), None, pytest.approx(4 / 3)]


def test_all_zero_is_no_division() -> None:
    assert Pair((0.0,), (0.0,)).scaled() == [0.0, 0.0]


def test_ties_share_their_mean_rank() -> None:
    assert ranks([5.0, None, 1.0, 5.0, INF, INF]) == [2.5, None, 1.0, 2.5, 4.5, 4.5]


def test_centre_is_a_geometric_mean_a_mean_or_a_median() -> None:
    assert centre([1.0, 100.0], "log") == pytest.approx(10)
    assert centre([0.0, 3.0], "linear") == 1.5
    assert centre([1.0, 4.0, INF], "rank") == 4.0
    assert centre([1.0, INF], "rank") == INF
    assert centre([], "log") is None


def test_spread_is_the_relative_deviation_of_both_groups_around_their_own_level() -> None:
    pair = Pair((99.0, 101.0), (198.0, 202.0))
    assert spread(pair) == pytest.approx(0.01 * math.sqrt(2), rel=1e-3)
    assert spread(Pair((1.0,), (2.0,))) is None
    assert spread(Pair((0.0, 0.0), (1.0, 2.0))) is None
    assert spread(Pair((1.0, INF), (1.0, 2.0))) is None


def test_typical_is_infinite_only_where_half_of_the_figures_are() -> None:
    assert typical([1.0, 2.0, INF]) == 2.0
    assert typical([1.0, INF, INF]) == INF
    assert typical([]) is None
