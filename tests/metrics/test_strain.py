from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from loadtest.clock import NS_PER_S
from loadtest.metrics.histogram import Histogram
from loadtest.metrics.queue_total import QueuePart, QueueTotal
from loadtest.metrics.receive_queue import ReceiveQueue
from loadtest.metrics.strain import Strain
from loadtest.metrics.tally import Tally
from tests.metrics.wires import histogram


def report(worker: int, at_s: int, lag_ms: int, cpu_percent: float, waited_ms: float | None = None) -> Any:
    lag = Histogram()
    lag.record(lag_ms * 1_000_000, 100)
    queue = ReceiveQueue(Histogram() if waited_ms is None else histogram(waited_ms), connections=8)
    return SimpleNamespace(
        worker=worker,
        t_ns=at_s * NS_PER_S,
        lag=Tally.of([lag]),
        lateness=Tally(),
        cpu_percent=cpu_percent,
        receive_queue=QueuePart.read(queue.to_wire()),
    )


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
    assert well["receive_queue"] is None


def test_the_receive_queue_at_its_worst_is_kept_with_the_cpu_used_then() -> None:
    strain = Strain()
    for at_s, waited_ms, cpu_percent in ((11, None, 99.0), (12, 20.0, 40.0), (13, 5.0, 95.0)):
        strain.add(report(3, at_s, 1, cpu_percent, waited_ms))
    strain.add(report(4, 12, 1, 10.0, 1.0))
    (worker, _) = strain.figures(10 * NS_PER_S)
    assert worker["receive_queue"] == {"p99_ms": 20.0, "worst_ms": 20.0, "worst_at_s": 2.0, "cpu_percent": 40.0}
    assert worker["worst_ms"] == 1.0
    everybody = strain.receive_queue()
    assert everybody == QueueTotal(Tally.of([histogram(20, 5, 1)]), connections=16)


def test_the_longest_time_without_a_report_is_how_long_a_worker_stood_still() -> None:
    strain = Strain()
    for at_s in (11, 12, 32, 34):
        strain.add(report(0, at_s, 1, 5.0))
    strain.add(report(1, 34, 1, 5.0))
    stood, young = strain.figures(10 * NS_PER_S)
    assert (stood["stood_s"], stood["stood_until_s"]) == (20.0, 22.0)
    assert (young["stood_s"], young["stood_until_s"]) == (0.0, None)
