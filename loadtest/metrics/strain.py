"""How hard each worker had it: its loop lag, publish lateness, receive queue and CPU, and when it was worst.

Law: a percentile over all workers hides the one that is drowning among fifty-nine that are not; so the generator is
judged by its worst worker (METRICS.md, "The generator is part of the path"; the rule is in `results.summary`).

Lag and lateness say that the worker did not get its turn; the receive queue says that what arrived waited for it. That
need not be a fault: of one message to 2,000 connections at once, the last is read after all others, by the fastest of
readers. So its worst moment is kept with the CPU used then: a reader that was busy all the time could not keep up, one
that had time left had only been told everything at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from loadtest.clock import NS_PER_MS, NS_PER_S
from loadtest.metrics.queue_total import QueueTotal
from loadtest.metrics.report import WorkerReport
from loadtest.metrics.tally import Tally


@dataclass(slots=True)
class _Worker:
    lag: Tally = field(default_factory=Tally)
    lateness: Tally = field(default_factory=Tally)
    queue: QueueTotal = field(default_factory=QueueTotal)
    cpu_percent: float = 0.0
    worst_ns: int = -1
    worst_at_ns: int = 0
    heard_ns: int = 0
    stood_ns: int = 0
    stood_until_ns: int = 0
    queue_worst_ns: int = -1
    queue_worst_at_ns: int = 0
    queue_cpu_percent: float = 0.0

    def receive_queue(self, zero_ns: int) -> dict[str, float | None] | None:
        """Return "receive_queue" of the worker's figures; None when nothing was sampled."""
        if not self.queue.delays.count:
            return None
        return {
            "p99_ms": _ms(self.queue.delays.percentile_ns(99)),
            "worst_ms": self.queue_worst_ns / NS_PER_MS,
            "worst_at_s": round((self.queue_worst_at_ns - zero_ns) / NS_PER_S, 3),
            "cpu_percent": self.queue_cpu_percent,
        }


class Strain:
    """Gather the generator's account of every worker."""

    def __init__(self) -> None:
        self._workers: dict[int, _Worker] = {}

    def add(self, report: WorkerReport) -> None:
        """Enter a report."""
        worker = self._workers.setdefault(report.worker, _Worker())
        worker.lag.add(report.lag)
        worker.lateness.add(report.lateness)
        worker.cpu_percent = max(worker.cpu_percent, report.cpu_percent)
        delay_ns = max(report.lag.percentile_ns(99) or 0, report.lateness.percentile_ns(99) or 0)
        if delay_ns > worker.worst_ns:
            worker.worst_ns, worker.worst_at_ns = delay_ns, report.t_ns
        worker.queue.follow(report.receive_queue)
        waited_ns = report.receive_queue.delays.percentile_ns(99)
        if waited_ns is not None and waited_ns > worker.queue_worst_ns:
            worker.queue_worst_ns, worker.queue_worst_at_ns = waited_ns, report.t_ns
            worker.queue_cpu_percent = report.cpu_percent
        gap_ns = report.t_ns - worker.heard_ns
        if worker.heard_ns and gap_ns > worker.stood_ns:
            worker.stood_ns, worker.stood_until_ns = gap_ns, report.t_ns
        worker.heard_ns = report.t_ns

    def receive_queue(self) -> QueueTotal:
        """Return the receive queues of all workers as one."""
        everybody = QueueTotal()
        for worker in self._workers.values():
            everybody.join(worker.queue)
        return everybody

    def figures(self, zero_ns: int) -> list[dict[str, Any]]:
        """Return "workers" of "generator" in run.json, by number.

        Keys: worker, loop_lag_p99_ms and lateness_p99_ms over the run, cpu_max_percent of one interval, worst_ms (the
        larger of both p99 in the worst interval), worst_at_s (its end, since the start of the run), stood_s (the
        longest time between two reports, which it makes once a second) and stood_until_s; receive_queue,
        None where nothing was sampled: p99_ms over the run, worst_ms (the p99 of the worst interval), worst_at_s, and
        cpu_percent, what the worker used of a core in it.
        """
        return [
            {
                "worker": number,
                "loop_lag_p99_ms": _ms(worker.lag.percentile_ns(99)),
                "lateness_p99_ms": _ms(worker.lateness.percentile_ns(99)),
                "cpu_max_percent": worker.cpu_percent,
                "worst_ms": worker.worst_ns / NS_PER_MS,
                "worst_at_s": round((worker.worst_at_ns - zero_ns) / NS_PER_S, 3),
                "receive_queue": worker.receive_queue(zero_ns),
                "stood_s": round(worker.stood_ns / NS_PER_S, 3),
                "stood_until_s": round((worker.stood_until_ns - zero_ns) / NS_PER_S, 3) if worker.stood_ns else None,
            }
            for number, worker in sorted(self._workers.items())
        ]


def _ms(value_ns: int | None) -> float | None:
    return None if value_ns is None else value_ns / NS_PER_MS
