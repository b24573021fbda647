from __future__ import annotations

import random

import pytest

from loadtest.report.decimate import Column, rows_to_keep


def test_few_rows_are_all_kept() -> None:
    assert rows_to_keep([[3.0, 1.0, 2.0]], limit=3) == [0, 1, 2]
    assert rows_to_keep([], limit=10) == []


@pytest.mark.parametrize("columns", [1, 2, 6])
def test_extremes_of_every_column_survive(columns: int) -> None:
    rng = random.Random(columns)
    series: list[Column] = [[rng.random() for _ in range(28_800)] for _ in range(columns)]
    kept = rows_to_keep(series, limit=2000)
    assert len(kept) <= 2000
    assert kept == sorted(set(kept))
    assert (kept[0], kept[-1]) == (0, 28_799)
    for column in series:
        shown = [column[row] for row in kept]
        assert max(v for v in shown if v is not None) == max(v for v in column if v is not None)
        assert min(v for v in shown if v is not None) == min(v for v in column if v is not None)


def test_one_second_of_trouble_in_eight_hours_is_kept() -> None:
    quiet: list[float | None] = [1.0] * 28_800
    quiet[17_123] = 900.0
    assert 17_123 in rows_to_keep([quiet], limit=100)


def test_gaps_are_no_extremes() -> None:
    series: list[float | None] = [None] * 5000
    series[2500] = 7.0
    assert 2500 in rows_to_keep([series], limit=100)
