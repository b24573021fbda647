"""Merging what workers tell of bystanders: the ratio, its interval, the share that is degraded."""

from __future__ import annotations

import random

import pytest

from loadtest.metrics.others import DRAWS, BystanderPart, Others
from loadtest.metrics.packed import Packed
from tests.metrics.wires import histogram


def part(
    before_ms: float, after_ms: float, *, missing: int = 0, degraded: int = 0, each: int = 50, seconds: int = 10
) -> BystanderPart:
    """A worker with ten bystanders: latencies spread evenly up to the given ones; `missing` after, in each second."""
    told = []
    for second in range(-seconds, seconds):
        top_ms = before_ms if second < 0 else after_ms
        spread = histogram(*(top_ms * (at + 1) / each for at in range(each)))
        told.append((second, missing if second >= 0 else 0, Packed.of(spread)))
    return BystanderPart(10, 10, degraded, told)


def others(*parts: BystanderPart) -> Others:
    merged = Others()
    for one in parts:
        merged.add(one)
    return merged


def test_ratio_is_of_merged_histograms_and_parts_come_in_any_order() -> None:
    parts = [part(4, 4), part(10, 12, degraded=3), part(8, 8)]
    figures = [others(*order).figures(0.1) for order in (parts, parts[::-1])]
    assert figures[0] == figures[1]
    told = figures[0]
    assert told["others"]["before_ms"]["count"] == told["others"]["after_ms"]["count"] == 3 * 10 * 50
    ratio = told["others"]["after_ms"]["p99"] / told["others"]["before_ms"]["p99"]
    assert told["others_p99_ratio"] == pytest.approx(ratio, rel=1e-3)
    assert told["degraded"] == pytest.approx(0.9 * 3 / 30)


def test_even_seconds_leave_no_doubt() -> None:
    told = others(part(5, 6)).figures(0.1)
    assert told["others_p99_ratio"] == pytest.approx(1.2, rel=2e-3)
    assert told["others"]["p99_ratio_95"] == {"low": pytest.approx(1.2, rel=2e-3), "high": pytest.approx(1.2, rel=2e-3)}


def test_one_slow_second_of_ten_is_in_the_interval() -> None:
    slow = part(5, 5)
    slow.seconds[12] = (2, 0, Packed.of(histogram(*[20.0] * 50)))
    told = others(slow).figures(0.1)
    assert told["others_p99_ratio"] == pytest.approx(4, rel=0.05)
    assert told["others"]["p99_ratio_95"]["low"] == pytest.approx(1, rel=0.01)
    assert told["others"]["p99_ratio_95"]["high"] == pytest.approx(4, rel=0.05)


def test_interval_holds_no_change_most_of_the_time() -> None:
    rng = random.Random(5)
    held, runs = 0, 40
    for _ in range(runs):
        tops = [rng.lognormvariate(1, 0.3) for _ in range(20)]
        seconds = [
            (second, 0, Packed.of(histogram(*(top * rng.random() for _ in range(60)))))
            for second, top in zip(range(-10, 10), tops, strict=True)
        ]
        interval = others(BystanderPart(5, 5, 0, seconds)).figures(0.1)["others"]["p99_ratio_95"]
        held += interval["low"] <= 1 <= interval["high"]
    assert held >= 0.8 * runs
    assert DRAWS >= 200


def test_more_than_one_of_100_missing_has_no_p99() -> None:
    told = others(part(5, 5, missing=1)).figures(0.1)
    assert told["others_p99_ratio"] is None
    assert told["others"]["missing_after"] == 10
    assert told["others"]["after_ms"]["p99"] is not None
    assert others(part(5, 5, missing=1, each=200)).figures(0.1)["others_p99_ratio"] == pytest.approx(1, abs=0.01)


def test_too_little_is_no_ratio_and_few_seconds_are_no_interval() -> None:
    assert others(part(5, 5, each=9)).figures(0.1)["others_p99_ratio"] is None
    told = others(part(5, 5, seconds=5)).figures(0.1)
    assert told["others_p99_ratio"] == pytest.approx(1)
    assert told["others"]["p99_ratio_95"] is None


@pytest.mark.parametrize(("radius", "degraded"), [(None, None), (1.0, 0.0), (0.1, None)])
def test_nobody_judged(radius: float | None, degraded: float | None) -> None:
    told = Others().figures(radius)
    assert (told["degraded"], told["others_p99_ratio"], told["others"]["judged"]) == (degraded, None, 0)
    assert told["others"]["before_ms"]["p99"] is None


def test_figures_follow_what_is_added() -> None:
    merged = others(part(5, 5))
    first = merged.figures(0.0)
    merged.add(part(5, 50, degraded=10))
    second = merged.figures(0.0)
    assert first["others_p99_ratio"] == pytest.approx(1)
    assert second["others_p99_ratio"] > 5
    assert second["degraded"] == 0.5
