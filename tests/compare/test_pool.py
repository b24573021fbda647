"""On real runs: equal versions are not called different, a fan-out slower by a fifth is found, with five runs of each.

What is drawn is what `bench-versions` would have run: ten neighbouring runs, each version once in every two, which
first by chance. The slower version is made by stretching every delivery of its runs by a fifth.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from loadtest.compare.comparison import Versus, compare
from loadtest.compare.group import Group
from loadtest.results.reader import RunRecord

from .runs import make_record, slower

POOL = Path(__file__).parent / "pool"
RESAMPLINGS = 40
RUNS = 5


@pytest.fixture(scope="module")
def pool() -> list[RunRecord]:
    profile = (POOL / "profile.toml").read_text()
    lines = (POOL / "smoke.jsonl").read_text().splitlines()
    return [make_record(json.loads(line), profile_text=profile) for line in lines]


def drawn(pool: list[RunRecord], seed: int, factor: float) -> Versus:
    rng = random.Random(seed)
    start = rng.randrange(len(pool) - 2 * RUNS + 1)
    neighbours = pool[start : start + 2 * RUNS]
    order = "".join(rng.choice(("AB", "BA")) for _ in range(RUNS))
    sides: dict[str, list[RunRecord]] = {"A": [], "B": []}
    for record, side in zip(neighbours, order, strict=True):
        sides[side].append(record if side == "A" else slower(record, factor))
    (one,) = compare([Group(name, tuple(runs)) for name, runs in sides.items()]).versus
    return one


def test_equal_versions_are_no_difference_in_19_of_20(pool: list[RunRecord]) -> None:
    verdicts = [drawn(pool, seed, 1.0).verdict for seed in range(RESAMPLINGS)]
    assert verdicts.count("no difference") >= 0.95 * RESAMPLINGS, verdicts


def test_fanout_slower_by_a_fifth_is_found_in_9_of_10(pool: list[RunRecord]) -> None:
    found = 0
    for seed in range(RESAMPLINGS):
        worse = drawn(pool, seed, 1.2).of("worse")
        found += any(finding.metric.startswith("fanout.latency.") for finding in worse)
    assert found >= 0.9 * RESAMPLINGS


def test_runs_of_the_pool_are_real_and_of_one_profile(pool: list[RunRecord]) -> None:
    assert len({record.run["run_id"] for record in pool}) == len(pool) == 27
    assert {record.run["profile"]["sha256"] for record in pool} == {pool[0].run["profile"]["sha256"]}
    assert drawn(pool, 0, 1.0).warnings == ()
