from __future__ import annotations

import math
import random

from loadtest.compare.change_points import change_points


def history(*parts: tuple[float, int], seed: int = 1) -> list[float]:
    rng = random.Random(seed)
    return [level * rng.gauss(1, 0.05) for level, count in parts for _ in range(count)]


def test_two_changes_are_found_where_they_are() -> None:
    found = change_points(history((3.0, 12), (4.0, 9), (3.0, 10)))
    assert [change.at for change in found] == [12, 21]
    assert [round(change.before) for change in found] == [3, 4]
    assert [round(change.after) for change in found] == [4, 3]


def test_steady_histories_have_no_change_in_at_least_19_of_20() -> None:
    changed = sum(bool(change_points(history((3.0, 30), seed=seed))) for seed in range(40))
    assert changed <= 2


def test_one_outlier_is_no_change() -> None:
    values = history((3.0, 20))
    values[9] = 300.0
    assert change_points(values) == []


def test_recoveries_that_did_not_come_are_a_change() -> None:
    (change,) = change_points([*history((3.0, 8)), *[math.inf] * 6])
    assert (change.at, change.after) == (8, math.inf)


def test_seven_runs_are_too_few() -> None:
    assert change_points([1.0] * 3 + [9.0] * 4) == []
