from __future__ import annotations

import random

import pytest

from loadtest.compare.blocks import blocks, centred
from loadtest.compare.interleaving import there_and_back
from loadtest.compare.interval import ratio
from loadtest.compare.permutation import family_p
from loadtest.compare.sample import Pair


def times_of(order: str) -> tuple[list[str], int]:
    """Return when each run started, the runs of A first, for an order such as ABBA."""
    by_version = {version: [f"{at:04d}" for at, each in enumerate(order) if each == version] for version in "AB"}
    return by_version["A"] + by_version["B"], len(by_version["A"])


def abba(runs: int) -> str:
    return "".join(version for version, _ in there_and_back("AB", runs))


def test_interleaved_runs_fall_into_blocks_of_four() -> None:
    times, n_a = times_of(abba(6))
    of_block = blocks(times, n_a)
    assert of_block == (0, 0, 1, 1, 2, 2) * 2
    assert sorted(of_block.count(block) for block in set(of_block)) == [4, 4, 4]


def test_what_is_left_over_is_a_block_of_two() -> None:
    of_block = blocks(*times_of(abba(5)))
    assert sorted(of_block.count(block) for block in set(of_block)) == [2, 4, 4]


@pytest.mark.parametrize("order", ["A" * 6 + "B" * 6, abba(3), "AB" * 2, "ABBABB"])
def test_one_after_the_other_or_too_few_or_unequal_are_one_block(order: str) -> None:
    assert set(blocks(*times_of(order))) == {0}


def test_unknown_times_are_one_block() -> None:
    times, n_a = times_of(abba(6))
    times[3] = ""
    assert set(blocks(times, n_a)) == {0}


def test_centred_takes_out_the_level_of_the_block() -> None:
    assert centred([1.0, 3.0, 10.0, 14.0, None], [0, 0, 1, 1, 1]) == [-1.0, 1.0, -2.0, 2.0, None]


def drifting(factor: float, seed: int) -> Pair:
    """Six runs of each on a machine that becomes half as fast meanwhile."""
    rng = random.Random(seed)
    figures: dict[str, list[float]] = {"A": [], "B": []}
    for at, version in enumerate(abba(6)):
        figures[version].append((1 + at / 11) * rng.gauss(1, 0.02) * (factor if version == "B" else 1.0))
    return Pair(tuple(figures["A"]), tuple(figures["B"]), blocks(*times_of(abba(6))))


def test_drift_does_not_hide_a_difference_that_neighbours_show() -> None:
    found = hidden = 0
    for seed in range(20):
        pair = drifting(1.2, seed)
        blind = Pair(pair.baseline, pair.candidate)
        found += family_p([pair.scaled()], 6, pair.blocks)[0] <= 0.05
        hidden += family_p([blind.scaled()], 6)[0] > 0.05
        sighted, wide = ratio(pair), ratio(blind)
        assert sighted is not None
        assert wide is not None
        assert (sighted.high or 0) - (sighted.low or 0) < ((wide.high or 0) - (wide.low or 0)) / 2
    assert found >= 19
    assert hidden >= 15


def test_equal_versions_on_a_drifting_machine_are_called_different_in_one_of_twenty() -> None:
    called = sum(family_p([(pair := drifting(1.0, seed)).scaled()], 6, pair.blocks)[0] <= 0.05 for seed in range(100))
    assert called <= 10


def test_a_missing_figure_puts_the_metric_back_into_one_block() -> None:
    pair = drifting(1.2, 1)
    assert set(Pair((None, *pair.baseline[1:]), pair.candidate, pair.of_block).blocks) == {0}
