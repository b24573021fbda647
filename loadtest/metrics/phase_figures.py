"""What happened in each phase: the figures that a threshold "during hold" is judged by.

    scheduled second --wholly inside a phase?--> fanout of that phase          ... | hold ------------- | drain
    worker's report  --its time--------------> connections of that phase     second:  - x x x x x x x -

Laws: a message belongs to the second of its scheduled time; a second that a phase begins or ends in belongs to none, so
that a phase's figures hold nothing of its neighbours. Connects are counted where they were reported, up to a second
late.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from loadtest.clock import NS_PER_S
from loadtest.metrics.report import Second, WorkerReport
from loadtest.metrics.tally import Tally

ENDLESS_NS = 1 << 62


@dataclass(slots=True)
class _Phase:
    begin_ns: int
    end_ns: int = ENDLESS_NS
    fanout: Second = field(default_factory=Second)
    attempts: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    connect: Tally = field(default_factory=Tally)


class PhaseFigures:
    """Keep the figures of each phase."""

    def __init__(self) -> None:
        self._phases: dict[str, _Phase] = {}

    def begin(self, name: str, at_ns: int) -> None:
        """Begin a phase; the one before it ends."""
        for phase in self._phases.values():
            phase.end_ns = min(phase.end_ns, at_ns)
        self._phases[name] = _Phase(at_ns)

    def add_second(self, start_ns: int, second: Second) -> None:
        """Enter what became of the messages scheduled in the second that starts at `start_ns`; each second once."""
        for phase in self._phases.values():
            if phase.begin_ns <= start_ns and start_ns + NS_PER_S <= phase.end_ns:
                phase.fanout.add(second)

    def add_report(self, report: WorkerReport) -> None:
        """Enter the connects of one report."""
        for phase in self._phases.values():
            if phase.begin_ns <= report.t_ns < phase.end_ns:
                phase.attempts += report.counts["attempts"]
                phase.failures.update(report.failures)
                phase.connect.add(report.histograms["connect"])

    def figures(self) -> dict[str, Any]:
        """Return "phases" of run.json: the same keys as of the whole run, as far as they are kept by phase."""
        return {name: _figures(phase) for name, phase in self._phases.items()}


def _figures(phase: _Phase) -> dict[str, Any]:
    fanout = phase.fanout
    return {
        "connections": {
            "attempts": phase.attempts,
            "failures": dict(phase.failures),
            "connect_ms": phase.connect.latency_ms(),
        },
        "fanout": {
            "expected": fanout.expected,
            "delivered": fanout.delivered,
            "lost": fanout.lost,
            "completeness": fanout.delivered / fanout.expected if fanout.expected else None,
            "latency_ms": fanout.latencies.latency_ms(),
        },
    }
