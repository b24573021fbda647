"""Runs side by side: whose clients were back sooner, as curves and as a table, with no statistics in it.

[ReportData, ...] --same event by name--> overlaid curves + one row per run
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from loadtest.errors import UsageError
from loadtest.report import wording as w
from loadtest.report.chart import Chart
from loadtest.report.data import ReportData
from loadtest.report.markup import el, table
from loadtest.report.page import figure, page, section
from loadtest.report.recovery import overlay
from loadtest.report.story import story
from loadtest.report.summary_sections import verdict_words

CAVEAT = "One run each: not a statistical comparison."

_HEAD = (
    "Run",
    "Verdict",
    "99 % connected",
    "99 % back",
    "99.9 % back",
    "Recovered",
    "Attempts each",
    "Secondary drops",
    "Blast radius",
    "Lost",
    "Fan-out p99",
)


def write_comparison(datas: Sequence[ReportData], path: Path) -> None:
    """Write the comparison of two or more runs as one HTML file.

    Raises:
        UsageError: fewer than two runs, or plotly is not installed.
        OSError: the file cannot be written.
    """
    path.write_text(render_comparison(datas), encoding="utf-8")


def render_comparison(datas: Sequence[ReportData]) -> str:
    """Return the comparison as the text of an HTML document."""
    if len(datas) < 2:
        raise UsageError("a comparison needs at least two runs")
    runs = [data.run for data in datas]
    names = labels(runs)
    charts = [
        _curves(position, event, names, [data.curves for data in datas]) for position, event in enumerate(_events(runs))
    ]
    sections = [
        section(
            f"event-{position}",
            f"After {w.plain(event, 60)}",
            el("p", faster(runs, event), class_="story"),
            figure(charts[position]) if charts[position].traces else None,
            table(_HEAD, _rows(runs, event), f"Recovery after {w.plain(event, 60)}"),
        )
        for position, event in enumerate(_events(runs))
    ]
    if not sections:
        sections = [section("events", "Recovery", el("p", "None of these runs had an event to recover from."))]
    told = [el("div", el("dt", name), el("dd", story(run))) for name, run in zip(names, runs, strict=True)]
    body = [
        el(
            "header",
            el("p", "Gateway load test", class_="overline"),
            el("h1", " and ".join(names)),
            el("p", CAVEAT, class_="meta"),
        ),
        *sections,
        section("runs", "The runs", el("dl", *told, class_="facts stories")),
    ]
    return page(f"Comparison: {', '.join(names)}", body, [chart for chart in charts if chart.traces])


def versions_table(runs: Sequence[Mapping[str, Any]]) -> Table:
    """Return the comparison for the terminal: one row per run and event."""
    shown = Table(*_HEAD, box=SIMPLE_HEAD, pad_edge=False, caption=CAVEAT, caption_justify="left")
    for event in _events(runs):
        for row in _rows(runs, event):
            shown.add_row(*(Text(cell) for cell in row))
    return shown


def labels(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a short name for each run: its version, or profile; numbered where that is not enough."""
    names = [w.plain(w.text(run, "target", "version") or w.text(run, "profile", "name") or "run", 60) for run in runs]
    return [
        name if names.count(name) == 1 else f"{name} ({names[: position + 1].count(name)})"
        for position, name in enumerate(names)
    ]


def faster(runs: Sequence[Mapping[str, Any]], event: str) -> str:
    """Say which run's clients were back sooner (99.9 % subscribed again), which one run each does not prove."""
    times = [
        (name, w.number(_event(run, event), "recovery", "t_sub_s", "99.9"), _event(run, event))
        for name, run in zip(labels(runs), runs, strict=True)
    ]
    back = sorted(((time_s, name) for name, time_s, _ in times if time_s is not None))
    told = []
    if len(back) > 1:
        (best_s, best), others = back[0], back[1:]
        against = ", ".join(f"{w.seconds(time_s)} for {name}" for time_s, name in others)
        same = all(w.seconds(time_s) == w.seconds(best_s) for time_s, _ in others)
        verb = "was back at the same time" if same else "was back sooner"
        told.append(f"{best} {verb}: 99.9 % of its clients after {w.seconds(best_s)}, against {against}.")
    elif back:
        told.append(f"Only {back[0][1]} was back: 99.9 % of its clients after {w.seconds(back[0][0])}.")
    for name, time_s, holder in times:
        if time_s is None:
            told.append(f"{name} had no such event." if not holder else f"{name}: 99.9 % not recovered within the run.")
    return " ".join(told)


def _events(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(w.text(event, "name") for run in runs for event in w.items(run, "events")))


def _event(run: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return next((event for event in w.items(run, "events") if w.text(event, "name") == name), {})


def _rows(runs: Sequence[Mapping[str, Any]], name: str) -> list[list[str]]:
    rows = []
    for label, run in zip(labels(runs), runs, strict=True):
        r = w.dig(_event(run, name), "recovery")
        rows.append(
            [
                label,
                verdict_words(run)[0],
                w.recovered(r, "t_conn_s", "99"),
                w.recovered(r, "t_sub_s", "99"),
                w.recovered(r, "t_sub_s", "99.9"),
                w.recovered(r, "t_rec_s"),
                w.factor(w.number(r, "amplification")).removesuffix(" x"),
                w.count(w.number(r, "secondary_drops")),
                w.percent(w.number(r, "blast_radius")),
                w.count(w.number(r, "lost")),
                w.milliseconds(w.number(run, "fanout", "latency_ms", "p99")),
            ]
        )
    return rows


def _curves(position: int, event: str, names: Sequence[str], curves: Sequence[Mapping[str, Any]]) -> Chart:
    return Chart(
        key=f"compared-{position}",
        title="Clients subscribed again",
        caption="Share of the clients that were subscribed just before the event, by time since the drop.",
        traces=overlay(names, curves, event),
        layout={
            "xaxis": {"title": {"text": "seconds since the drop"}, "rangemode": "tozero"},
            "yaxis": {"title": {"text": "% of clients"}, "range": [0, 104]},
            "hovermode": "x unified",
            "margin": {"t": 16},
        },
    )
