"""How far to trust a run: the generator's own account, judged by the rule of METRICS.md and said in a sentence.

    lateness p99, loop lag p99 --against 10 % of the gated fan-out percentile--> "good" | "with care" | "not at all"
    receive queue p99          --its share of it-------------------------------> "good" | "with care"

The verdict of the run is decided elsewhere; this only explains. "with care" begins at half of the limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loadtest.report import wording as w
from loadtest.report.chart import Chart, Timeline, rows_by_phase
from loadtest.report.data import ReportData
from loadtest.report.markup import Html, table
from loadtest.results.summary import GENERATOR_SHARE

BUSY_PERCENT = 80.0
"""CPU of one worker, in percent of a core, from which its own queue begins to show in the figures."""


@dataclass(frozen=True, slots=True)
class Trust:
    """How far to trust a run: `grade` is "good", "with care" or "not at all"; `sentences` say why."""

    grade: str
    sentences: tuple[str, ...]


def gated_ms(run: Mapping[str, Any]) -> float | None:
    """Return the smallest measured fan-out percentile that a threshold gates, in ms, or None."""
    values = [
        value
        for threshold in w.items(run, "thresholds")
        if w.text(threshold, "expr").replace(" ", "").startswith("fanout.latency.")
        and (value := w.number(threshold, "value")) is not None
    ]
    return min(values, default=None)


def trust(run: Mapping[str, Any]) -> Trust:
    """Judge the generator from run.json."""
    grades = {0}
    said = []
    gate_ms = gated_ms(run)
    # Without a gate the rule cannot condemn the run, but the reader still wants to know.
    against_ms, worst = (gate_ms, 2) if gate_ms else (w.number(run, "fanout", "latency_ms", "p99"), 1)
    named = "the gated fan-out percentile" if gate_ms else "the fan-out p99"
    for what, key, gravest in (
        ("publishes left late by", "lateness_p99_ms", worst),
        ("the event loop lagged by", "loop_lag_p99_ms", worst),
        ("what arrived waited to be read for", "receive_queue_p99_ms", 1),
    ):
        value_ms = w.number(run, "generator", key)
        if value_ms is None:
            continue
        sentence = f"{what} {w.milliseconds(value_ms)} (p99)"
        if against_ms:
            share = value_ms / against_ms
            grades.add(gravest if share > GENERATOR_SHARE else 1 if share > GENERATOR_SHARE / 2 else 0)
            sentence += f", {w.percent(share)} of {named}"
        said.append(sentence)
    cpu = w.number(run, "generator", "cpu_max_percent")
    if cpu is not None:
        grades.add(1 if cpu > BUSY_PERCENT else 0)
        said.append(f"the busiest worker used {w.percent(cpu / 100)} of a core")
    error_ms = w.number(run, "generator", "clock_error_ms")
    if error_ms is not None:
        said.append(
            "one host, one clock: no clock error"
            if error_ms == 0
            else f"clocks agree within {w.milliseconds(error_ms)}"
        )
    lost = w.number(run, "generator", "workers_lost")
    if lost is not None:
        grades.add(2 if lost else 0)
        said.append(
            "no worker was lost"
            if not lost
            else f"{w.count(lost)} {'worker was' if lost == 1 else 'workers were'} lost"
        )
    if not said:
        return Trust("not at all", ("The generator kept no account of itself.",))
    if w.text(run, "verdict") == "invalid":
        grades.add(2)
    return Trust(("good", "with care", "not at all")[max(grades)], tuple(s[0].upper() + s[1:] + "." for s in said))


def generator_table(run: Mapping[str, Any]) -> Html:
    """Return the generator's figures beside their limits."""
    gate_ms = gated_ms(run)
    limit = "none gated" if gate_ms is None else f"at most {w.milliseconds(gate_ms * GENERATOR_SHARE)}"
    cpu = w.number(run, "generator", "cpu_max_percent")
    rows = (
        ("Publish lateness, p99", w.milliseconds(w.number(run, "generator", "lateness_p99_ms")), limit),
        ("Event-loop lag, p99", w.milliseconds(w.number(run, "generator", "loop_lag_p99_ms")), limit),
        ("Receive queue, p50, p99, max", *_receive_queue(run)),
        (
            "CPU of the busiest worker",
            w.percent(None if cpu is None else cpu / 100),
            f"better below {BUSY_PERCENT:.0f} %",
        ),
        ("Clock error", w.milliseconds(w.number(run, "generator", "clock_error_ms")), "0 on one host"),
        ("Workers lost", w.count(w.number(run, "generator", "workers_lost")), "0"),
    )
    return table(("The generator itself", "Measured", "Limit"), rows, "The generator's own account", "generator")


def _receive_queue(run: Mapping[str, Any]) -> tuple[str, str]:
    """Return what messages waited to be read, and of what that is known."""
    figures = [w.number(run, "generator", f"receive_queue_{key}_ms") for key in ("p50", "p99", "max")]
    if None in figures:
        return w.NOT_MEASURED, ""
    reads, connections = (w.number(run, "generator", f"receive_queue_{key}") for key in ("count", "connections"))
    return ", ".join(map(w.milliseconds, figures)), f"{w.count(reads)} reads on {w.count(connections)} connections"


def generator_chart(data: ReportData) -> Chart | None:
    """Return lateness, loop lag and receive queue of the generator over time, or None without them."""
    keys = ("lateness_p99_ms", "loop_lag_p99_ms", "receive_queue_p99_ms")
    series = {key: data.column("generator", key) for key in keys}
    if not any(value is not None for column in series.values() for value in column):
        return None
    line = Timeline(data, series)
    styles = (
        ("lateness_p99_ms", "publish lateness p99", "@series-1", "solid"),
        ("loop_lag_p99_ms", "loop lag p99", "@series-2", "dash"),
        ("receive_queue_p99_ms", "receive queue p99", "@series-3", "dot"),
    )
    traces: list[dict[str, Any]] = [
        {"type": "scatter", "mode": "lines", "name": name, "x": line.x, "y": line.columns[key]}
        | {"line": {"color": colour, "dash": dash, "width": 1.75}, "hovertemplate": "%{y:.4~g} ms"}
        for key, name, colour, dash in styles
    ]
    cpu = data.column("generator", "cpu_max_percent")
    return Chart(
        key="generator",
        title="The generator over time",
        caption="How late the harness itself was. Where these lines rise, the figures above contain the harness.",
        traces=traces,
        layout=line.layout("milliseconds"),
        head=("Phase", "Length", *(f"Worst {name}" for _, name, _, _ in styles), "Highest CPU, %"),
        rows=rows_by_phase(data, *((series[key], "max ms") for key in keys), (cpu, "max")),
        log_axis=True,
    )
