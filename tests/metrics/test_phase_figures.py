from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

from loadtest.clock import NS_PER_S
from loadtest.metrics.histogram import Histogram
from loadtest.metrics.phase_figures import PhaseFigures
from loadtest.metrics.report import Second
from loadtest.metrics.tally import Tally


def second(expected: int, lost: int = 0) -> Second:
    latencies = Histogram()
    latencies.record(1_000_000, expected - lost)
    return Second(expected, expected - lost, lost, Tally.of([latencies]))


def report(at_s: float, attempts: int, **failures: int) -> Any:
    connect = Histogram()
    connect.record(2_000_000)
    return SimpleNamespace(
        t_ns=round(at_s * NS_PER_S),
        counts=Counter(attempts=attempts),
        failures=Counter(failures),
        histograms={"connect": Tally.of([connect])},
    )


def test_a_second_belongs_to_the_phase_it_lies_wholly_in() -> None:
    phases = PhaseFigures()
    phases.begin("warmup", 5 * NS_PER_S)
    phases.begin("hold", 7 * NS_PER_S + 1)
    phases.begin("drain", 10 * NS_PER_S)
    for start_s in range(12):
        phases.add_second(start_s * NS_PER_S, second(10 + start_s, lost=1))
    figures = phases.figures()
    assert figures["warmup"]["fanout"]["expected"] == 15 + 16
    assert figures["hold"]["fanout"]["expected"] == 18 + 19  # 7 holds the boundary, and is nobody's
    assert figures["drain"]["fanout"]["expected"] == 20 + 21
    hold = figures["hold"]["fanout"]
    assert (hold["delivered"], hold["lost"], hold["completeness"]) == (35, 2, 35 / 37)
    assert hold["latency_ms"]["count"] == 35


def test_connects_belong_to_the_phase_they_were_reported_in() -> None:
    phases = PhaseFigures()
    phases.begin("ramp", 0)
    phases.begin("hold", 2 * NS_PER_S)
    phases.add_report(report(1.9, 7, refused=2))
    phases.add_report(report(2.0, 1))
    assert phases.figures()["ramp"]["connections"]["attempts"] == 7
    assert phases.figures()["ramp"]["connections"]["failures"] == {"refused": 2}
    assert phases.figures()["hold"]["connections"]["attempts"] == 1
    assert phases.figures()["hold"]["connections"]["connect_ms"]["p50"] == 2.0


def test_a_phase_without_messages_has_no_figures_about_them() -> None:
    phases = PhaseFigures()
    phases.begin("ramp", 0)
    assert phases.figures()["ramp"]["fanout"]["completeness"] is None
    assert phases.figures()["ramp"]["fanout"]["latency_ms"]["p99"] is None
