from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from loadtest.clock import NS_PER_S
from loadtest.metrics.histogram import Histogram
from loadtest.metrics.strain import Strain


def report(worker: int, at_s: int, lag_ms: int, cpu_percent: float) -> Any:
    lag = Histogram()
    lag.record(lag_ms * 1_000_000, 100)
    return SimpleNamespace(
        worker=worker, t_ns=at_s * NS_PER_S, lag=lag, lateness=Histogram(), cpu_percent=cpu_percent
    )  # fmt: skip


def test_each_worker_has_its_own_account_and_its_worst_moment() -> None:
    strain = Strain()
    for at_s, lag_ms in ((11, 2), (12, 300), (13, 4)):
        strain.add(report(1, at_s, lag_ms, 10.0 + at_s))
        strain.add(report(0, at_s, 1, 5.0))
    well, drowning = strain.figures(10 * NS_PER_S)
    assert (well["worker"], well["worst_ms"], well["cpu_max_percent"]) == (0, 1.0, 5.0)
    assert (drowning["worker"], drowning["worst_ms"], drowning["worst_at_s"]) == (1, 300.0, 2.0)
    assert drowning["cpu_max_percent"] == 23.0
    assert drowning["loop_lag_p99_ms"] == 300.0
    assert drowning["lateness_p99_ms"] is None
