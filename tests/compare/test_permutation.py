from __future__ import annotations

import random

import pytest

from loadtest.compare.permutation import MOST_CHOICES, families_p, family_p, runs_for_a_verdict, smallest_p


def test_complete_separation_of_five_and_five_has_the_smallest_p() -> None:
    assert family_p([[1, 2, 3, 4, 5, 11, 12, 13, 14, 15]], 5) == [2 / 252]
    assert smallest_p(5, 5) == 2 / 252


def test_three_runs_each_can_never_be_enough() -> None:
    assert family_p([[1, 2, 3, 101, 102, 103]], 3) == [2 / 20]
    assert (runs_for_a_verdict(1.0), runs_for_a_verdict(0.75), runs_for_a_verdict(0.25)) == (4, 4, 5)


def test_equal_runs_have_p_one() -> None:
    assert family_p([[3.0] * 8, [0.0] * 8], 4) == [1.0, 1.0]


def test_a_metric_is_held_against_the_largest_of_all() -> None:
    column = [0.0, 0.1, 0.2, 0.1, 0.0, 0.3, 0.4, 0.2, 0.35, 0.3]
    rng = random.Random(3)
    noise = [[rng.gauss(0, 1) for _ in range(10)] for _ in range(12)]
    (alone,) = family_p([column], 5)
    together = family_p([column, *noise], 5)[0]
    assert alone < together


def test_missing_figures_are_left_out_and_do_not_make_significance() -> None:
    assert family_p([[None] * 4 + [1.0] * 4], 4) == [1.0]
    few: list[float | None] = [1.0, None, None, None, 5.0, 6.0, None, 7.0]
    assert family_p([few], 4) == [1.0]


def test_hairs_breadth_is_not_significant() -> None:
    """Ten runs that agree to a millionth differ by nothing; without the floor they would be told apart."""
    rng = random.Random(5)
    wild = [rng.gauss(0, 1) for _ in range(10)]
    column = [1 + at * 1e-6 for at in range(10)]
    assert family_p([column, wild], 5)[0] > 0.5


def test_many_runs_are_sampled_and_seeded() -> None:
    rng = random.Random(6)
    column = [rng.gauss(0, 1) for _ in range(20)] + [rng.gauss(3, 1) for _ in range(20)]
    first = family_p([column], 20)
    assert first == family_p([column], 20)
    assert first == [pytest.approx(1 / MOST_CHOICES)]


def test_any_of_ten_metrics_is_called_different_in_one_of_twenty() -> None:
    rng, called = random.Random(7), 0
    for _ in range(200):
        shared = [rng.gauss(0, 1) for _ in range(10)]
        columns = [[x + rng.gauss(0, 1) for x in shared] for _ in range(10)]
        called += min(family_p(columns, 5)) <= 0.05
    assert called / 200 <= 0.09  # 0.05 and twice its standard error over 200 tries


def test_families_share_the_five_percent_and_do_not_hide_each_other() -> None:
    rng = random.Random(3)
    column = [0.0, 0.1, 0.2, 0.1, 0.0, 0.3, 0.4, 0.2, 0.35, 0.3]
    noise = [[rng.gauss(0, 1) for _ in range(10)] for _ in range(12)]
    (alone,) = family_p([column], 5)
    families = [("one", 0.75), *[("other", 0.25)] * len(noise)]
    assert families_p([column, *noise], families, 5)[0] == alone / 0.75
    assert families_p([column], [("one", 1.0)], 5) == [alone]
