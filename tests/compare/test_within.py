from __future__ import annotations

import random
from typing import Any

import pytest

from loadtest.compare.within import percentile_draws


def line(p50: float, *, phase: str = "hold", delivered: int = 1000, tail: float = 4.0) -> dict[str, Any]:
    keys = {"p50_ms": p50, "p90_ms": p50 * 2, "p99_ms": p50 * 3, "max_ms": p50 * tail}
    return {"phase": phase, "fanout": {"delivered": delivered, **keys}}


def test_even_seconds_leave_nothing_to_vary() -> None:
    draws = percentile_draws([line(2.0)] * 20, 50)
    assert min(draws) == max(draws) == pytest.approx(2.0, rel=0.06)


@pytest.mark.parametrize(("percentile", "factor"), [(50, 1.0), (90, 2.0), (99, 3.0), (100, 4.0)])
def test_percentiles_of_the_log_are_met(percentile: float, factor: float) -> None:
    (draw,) = set(percentile_draws([line(2.0)] * 20, percentile))
    assert draw == pytest.approx(2.0 * factor, rel=0.06)


def test_uneven_seconds_widen_the_interval() -> None:
    rng = random.Random(3)
    calm = percentile_draws([line(2 * rng.gauss(1, 0.02)) for _ in range(30)], 50)
    rough = percentile_draws([line(2 * rng.gauss(1, 0.4)) for _ in range(30)], 50)
    assert max(calm) - min(calm) < (max(rough) - min(rough)) / 3


def test_seconds_weigh_by_their_deliveries() -> None:
    busy = percentile_draws([line(2.0, delivered=100_000), line(20.0, delivered=10)] * 10, 50)
    assert max(busy) < 2.3


def test_only_the_hold_phase_counts_and_it_must_be_long_enough() -> None:
    ramp = [line(100.0, phase="ramp")] * 30
    assert max(percentile_draws([*ramp, *[line(2.0)] * 6], 50)) < 3
    assert percentile_draws([*ramp, *[line(2.0)] * 5], 50) == []


def test_seconds_without_deliveries_and_broken_lines_are_no_evidence() -> None:
    silent = {"phase": "hold", "fanout": {"delivered": 0, "p50_ms": None}}
    broken = {"phase": "hold", "fanout": {"delivered": True, "p50_ms": "x", "p90_ms": 1, "p99_ms": 1, "max_ms": 1}}
    assert percentile_draws([silent, broken, {"phase": "hold"}, *[line(2.0)] * 5], 50) == []
