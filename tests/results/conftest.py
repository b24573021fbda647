from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from loadtest.clock import NS_PER_S
from loadtest.metrics.histogram import Histogram
from loadtest.metrics.recovery import RecoveryCurve
from loadtest.metrics.tally import Tally
from loadtest.metrics.thresholds import parse
from loadtest.results.folder import RunFolder
from loadtest.results.summary import RunFacts

STARTED = datetime(2026, 1, 17, 10, 11, 12, 345_000, tzinfo=UTC)


def latency_of(*values_ms: float) -> Tally:
    histogram = Histogram()
    for value_ms in values_ms:
        histogram.record(round(value_ms * 1e6))
    return Tally.of([histogram])


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[RunFolder]:
    with RunFolder.create(tmp_path / "runs", "deploy-storm", STARTED) as made:
        yield made


@pytest.fixture
def facts() -> RunFacts:
    """A run of 10 clients that passes its two thresholds."""
    curve = RecoveryCurve(0, 10)
    curve.subscribed(NS_PER_S, -10)
    curve.connected(NS_PER_S, -10)
    curve.primary_drop(NS_PER_S, 10)
    curve.connected(3 * NS_PER_S, 10)
    curve.subscribed(4 * NS_PER_S, 10)
    curve.attempt(2 * NS_PER_S, 20)
    event: dict[str, Any] = {
        "name": "deploy",
        "kind": "deploy",
        "at_s": 10.0,
        "population": 10,
        "dropped": 10,
        "recovery": curve.as_recovery(20 * NS_PER_S, t_svc_s=None, t_rec_s=None, lost=0) | {"metastable": False},
    }
    return RunFacts(
        run_id="20260117T101112-smoke-0000",
        started_at="2026-01-17T10:11:12+00:00",
        finished_at="2026-01-17T10:11:52+00:00",
        profile={"name": "smoke", "sha256": "ab" * 32},
        target={"url": "ws://127.0.0.1:1/", "dialect": "socketio"},
        harness={"version": "0.1.0", "locust": "2", "python": "3.11", "workers": 1, "cores": 2, "kernel": "6"},
        connections={
            "target": 10, "peak": 10, "at_end": 10, "attempts": 30, "failures": {"refused": 1}, "ramp_seconds": 0.5,
            "connect_ms": latency_of(1, 2, 3).latency_ms(),
        },
        fanout={
            "published": 5, "expected": 50, "delivered": 50, "lost": 0, "duplicated": 0, "reordered": 0,
            "completeness": 1.0, "latency_ms": latency_of(10, 20, 30).latency_ms(),
            "uncorrected_ms": latency_of(10, 20, 30).latency_ms(),
        },
        generator={
            "lateness_p99_ms": 0.5, "loop_lag_p99_ms": 3.0, "cpu_max_percent": 40.0, "clock_error_ms": 0.0,
            "workers_lost": 0,
        },
        events=[event],
        thresholds=[parse("fanout.latency.p99 < 250ms"), parse("events.deploy.t_sub.99.9 <= 4s")],
    )  # fmt: skip
