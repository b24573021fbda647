"""The pictures of a comparison: changes with their intervals, recovery, fan-out percentiles, the distribution.

    Finding.ratio ----------------> changes        where each interval lies, against "no change"
    RunRecord.curves -------------> recovery       one line per run, one colour and dash per version
    run.json latency_ms ----------> percentiles    one line per run
    histograms.hlog, all runs ----> distribution   one line per version, of all its deliveries

Every version has its colour, dash and marker, the same in each picture; the table beside a picture says the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loadtest.clock import NS_PER_MS
from loadtest.compare.comparison import Versus
from loadtest.compare.group import Group
from loadtest.metrics.sums import FANOUT
from loadtest.metrics.tally import Tally
from loadtest.report import compare_words as words
from loadtest.report import wording as w
from loadtest.report.chart import Chart, label
from loadtest.report.decimate import rows_to_keep
from loadtest.report.recovery import curve
from loadtest.results import folder
from loadtest.results.histogram_log import read_totals

MOST_RUNS = 12
"""Runs of one version that are drawn; the statistics are of all of them."""

_POINTS = 400
_PERCENTILES = ("p50", "p90", "p99", "p99.9", "max")
_DRAWN_SHARES = tuple(sorted({*(s / 100 for s in range(0, 100, 2)), 0.99, 0.995, 0.999, 0.9995, 0.9999, 1.0}))
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x")
_COLOURS = 4


def changes_chart(one: Versus, position: int) -> Chart | None:
    """Return where the interval of each metric's change lies; None when no metric has one."""
    drawn = [f for f in one.findings if f.ratio is not None and f.ratio.low is not None and f.ratio.high is not None]
    if not drawn:
        return None
    centres = [100 * (f.ratio.value - 1) for f in drawn if f.ratio]
    return Chart(
        key=f"changes-{position}",
        title=f"Changes from {w.plain(one.baseline.name, 60)} to {w.plain(one.candidate.name, 60)}",
        caption="Relative change of each metric with its 95 % interval. An interval that holds 0 is no evidence.",
        traces=[
            {"type": "scatter", "mode": "markers", "name": label(one.candidate.name, 60)}
            | {"x": [round(x, 2) for x in centres], "y": [label(f.metric, 60) for f in drawn]}
            | {"marker": {"color": "@series-1", "size": 9, "symbol": "diamond"}, "hovertemplate": "%{y}: %{x} %"}
            | {
                "error_x": {
                    "type": "data",
                    "symmetric": False,
                    "array": [round(100 * (f.ratio.high or 0) - 100 * f.ratio.value, 2) for f in drawn if f.ratio],
                    "arrayminus": [round(100 * f.ratio.value - 100 * (f.ratio.low or 0), 2) for f in drawn if f.ratio],
                    "color": "@ink",
                    "thickness": 1.5,
                }
            }
        ],
        layout={
            "xaxis": {"title": {"text": "% change"}, "zeroline": True, "zerolinecolor": "@ink", "zerolinewidth": 1.5},
            "yaxis": {"automargin": True, "autorange": "reversed"},
            "margin": {"t": 16, "l": 200},
            "showlegend": False,
        },
        head=("Metric", "Change [95 %]", "Verdict"),
        rows=[[w.plain(f.metric, 60), words.change(f), f.verdict] for f in drawn],
    )


def recovery_charts(groups: Sequence[Group]) -> list[Chart]:
    """Return one picture per event: the share of the clients subscribed again, of every run."""
    events = dict.fromkeys(name for group in groups for record in group.runs for name in record.curves)
    charts = []
    for position, event in enumerate(events):
        traces, rows = [], []
        for at, group in enumerate(groups):
            for number, record in enumerate(group.runs):
                held = next((e for e in w.items(record.run, "events") if w.text(e, "name") == event), None)
                reached = [w.recovered(held, "recovery", "t_sub_s", p) for p in ("50", "90", "99", "100")]
                rows.append([f"{w.plain(group.name, 60)}, run {number + 1}", *reached])
                times, shares = curve(record.curves, event, "subscribed")
                kept = rows_to_keep([shares], _POINTS) if times and number < MOST_RUNS else []
                if kept:
                    line = {"x": [times[row] for row in kept], "y": [shares[row] for row in kept]}
                    traces.append(_line(group.name, at, number) | line | {"hovertemplate": "%{y:.4~g} %"})
        if traces:
            charts.append(
                Chart(
                    key=f"recovery-{position}",
                    title=f"Recovery after {w.plain(event, 60)}",
                    caption="Share of the clients subscribed again, by time since the drop; one line per run.",
                    traces=traces,
                    layout={
                        "xaxis": {"title": {"text": "seconds since the drop"}, "rangemode": "tozero"},
                        "yaxis": {"title": {"text": "% of clients"}, "range": [0, 104]},
                        "margin": {"t": 16},
                    },
                    head=("Run", "50 % back", "90 % back", "99 % back", "100 % back"),
                    rows=rows,
                )
            )
    return charts


def percentiles_chart(groups: Sequence[Group]) -> Chart | None:
    """Return the fan-out percentiles of every run; None when no run has any."""
    traces, rows = [], []
    for at, group in enumerate(groups):
        for number, record in enumerate(group.runs):
            values = [w.number(record.run, "fanout", "latency_ms", key) for key in _PERCENTILES]
            if any(value is not None for value in values):
                rows.append([f"{w.plain(group.name, 60)}, run {number + 1}", *(w.milliseconds(v) for v in values)])
                if number < MOST_RUNS:
                    marked = {"x": list(_PERCENTILES), "y": values, "mode": "lines+markers"}
                    traces.append(_line(group.name, at, number) | marked | {"hovertemplate": "%{y:.4~g} ms"})
    if not traces:
        return None
    return Chart(
        key="percentiles",
        title="Fan-out percentiles",
        caption="From the scheduled time of a publish to its receipt by each subscriber; one line per run.",
        traces=traces,
        layout={
            "xaxis": {"type": "category"},
            "yaxis": {"title": {"text": "milliseconds"}, "type": "log"},
            "margin": {"t": 16},
        },
        head=("Run", *_PERCENTILES),
        rows=rows,
    )


def distribution_chart(groups: Sequence[Group]) -> Chart | None:
    """Return the share of deliveries that took up to each time, all runs of a version together; None without any."""
    traces, rows = [], []
    for at, group in enumerate(groups):
        merged = Tally.of(_fanout_latencies(record.path) for record in group.runs)
        if not merged.count:
            continue
        times = merged.percentiles_ns([100 * share for share in _DRAWN_SHARES])
        ecdf = {"x": [value / NS_PER_MS for value in times], "y": [round(100 * share, 3) for share in _DRAWN_SHARES]}
        traces.append(_line(group.name, at, 0) | ecdf | {"hovertemplate": "%{y} % within %{x:.4~g} ms"})
        shown = merged.percentiles_ns([10, 50, 90, 99, 99.9, 100])
        rows.append([w.plain(group.name, 60), w.count(merged.count), *(w.milliseconds(v / NS_PER_MS) for v in shown)])
    if not traces:
        return None
    return Chart(
        key="distribution",
        title="Distribution of fan-out latency",
        caption="Share of all deliveries that took at most so long (empirical distribution), all runs of a version.",
        traces=traces,
        layout={
            "xaxis": {"title": {"text": "milliseconds"}, "type": "log"},
            "yaxis": {"title": {"text": "% of deliveries"}, "range": [0, 101]},
            "margin": {"t": 16},
        },
        head=("Version", "Deliveries", "p10", "p50", "p90", "p99", "p99.9", "Longest"),
        rows=rows,
    )


def _fanout_latencies(path: Path) -> Tally:
    log = path / folder.HISTOGRAMS
    return read_totals(log)[0].get(FANOUT, Tally()) if log.is_file() else Tally()


def _line(name: str, at: int, number: int) -> dict[str, Any]:
    """Return the look of one run's line: all of a version alike, one of them in the legend."""
    colour = f"@series-{at % _COLOURS + 1}"
    return {
        "type": "scatter",
        "mode": "lines",
        "name": label(name, 60),
        "legendgroup": f"version-{at}",
        "showlegend": number == 0,
        "line": {"color": colour, "dash": _DASHES[at % len(_DASHES)], "width": 2 if number == 0 else 1.2},
        "marker": {"color": colour, "symbol": _SYMBOLS[at % len(_SYMBOLS)], "size": 7},
    }
