"""Fan-out: its latency over time as a chart, and the account of deliveries as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loadtest.report import wording as w
from loadtest.report.chart import Chart, Timeline, rows_by_phase
from loadtest.report.data import ReportData
from loadtest.report.markup import Html, el, join, table

_LINES = (
    ("p50_ms", "p50", "@series-1", "solid", 2.0),
    ("p90_ms", "p90", "@series-3", "dash", 1.5),
    ("p99_ms", "p99", "@series-2", "dashdot", 2.0),
    ("max_ms", "max", "@muted", "dot", 1.2),
)

CLASS_NAMES = {
    "throughout": "connected throughout",
    "recovered": "dropped and recovered",
    "gone": "dropped, not recovered",
}


def fanout_chart(data: ReportData) -> Chart | None:
    """Return percentiles of fan-out latency by second of receipt, or None when nothing was received."""
    series = {key: data.column("fanout", key) for key, *_ in _LINES}
    if not any(value is not None for column in series.values() for value in column):
        return None
    line = Timeline(data, series)
    traces: list[dict[str, Any]] = [
        {"type": "scatter", "mode": "lines", "name": name, "x": line.x, "y": line.columns[key]}
        | {"connectgaps": False, "line": {"color": colour, "dash": dash, "width": width}}
        | {"hovertemplate": "%{y:.4~g} ms"}
        for key, name, colour, dash, width in _LINES
    ]
    layout = line.layout("milliseconds")
    known = [value for value in series["p50_ms"] if value] or [1.0]
    worst = max((value for value in series["max_ms"] if value is not None), default=0.0)
    if worst > 50 * sorted(known)[len(known) // 2]:
        layout["yaxis"] |= {"type": "log", "rangemode": "normal"}
    published, delivered = data.column("fanout", "published"), data.column("fanout", "delivered")
    return Chart(
        key="fanout",
        title="Fan-out latency",
        caption=(
            "From the scheduled time of a publish to its receipt by each subscriber, by second of receipt. "
            "A gap is a second in which nothing arrived."
        ),
        traces=traces,
        layout=layout,
        head=("Phase", "Length", "Published", "Delivered", "Worst second p50", "Worst second p99", "Longest"),
        rows=rows_by_phase(
            data,
            (published, "sum"),
            (delivered, "sum"),
            (series["p50_ms"], "max ms"),
            (series["p99_ms"], "max ms"),
            (series["max_ms"], "max ms"),
        ),
        log_axis=True,
    )


def latency_table(run: Mapping[str, Any]) -> Html:
    """Return the latency distributions of the whole run: fan-out, its uncorrected twin, connects, time to k %."""
    rows = []
    for title, keys in (
        ("Fan-out, from the scheduled time", ("fanout", "latency_ms")),
        ("Fan-out, from the actual send", ("fanout", "uncorrected_ms")),
        ("Connect", ("connections", "connect_ms")),
    ):
        cells = [w.milliseconds(w.number(run, *keys, p)) for p in ("min", "p50", "p90", "p99", "p99.9", "max")]
        rows.append([title, w.count(w.number(run, *keys, "count")), *cells])
    head = ("Latency", "Count", "Min", "p50", "p90", "p99", "p99.9", "Max")
    parts = [table(head, rows, "Latencies of the whole run")]
    if w.dig(run, "fanout", "ttk_ms"):
        steps = [
            [
                f"{k} % of the subscribers",
                *(w.milliseconds(w.number(run, "fanout", "ttk_ms", k, p)) for p in ("p50", "p99")),
            ]
            for k in ("50", "99", "100")
        ]
        parts.append(
            table(("A message reached", "p50 of messages", "p99 of messages"), steps, "Time to k % of subscribers")
        )
    return join(parts)


def delivery_table(run: Mapping[str, Any]) -> Html:
    """Return expected, delivered, lost, duplicated and reordered deliveries, in all and by class of client."""
    figures = ("expected", "delivered", "lost", "duplicated", "reordered")
    classes = w.dig(run, "fanout", "by_class")
    accounts: list[tuple[str, object]] = [("all clients", w.dig(run, "fanout"))]
    if isinstance(classes, Mapping):
        accounts += [(CLASS_NAMES.get(name, w.plain(name, 60)), account) for name, account in classes.items()]
    rows = [
        [name, *(w.count(w.number(account, figure)) for figure in figures), _completeness(account)]
        for name, account in accounts
    ]
    head = ("Deliveries to", "Expected", "Delivered", "Lost", "Duplicated", "Reordered", "Complete")
    return table(head, rows, "Deliveries at their deadline")


def unsent(run: Mapping[str, Any]) -> Html | None:
    """Say how many scheduled publishes never left or failed, by reason; None when all went out or none were counted."""
    held_back, failures = w.number(run, "fanout", "unsent") or 0, w.dig(run, "fanout", "publish_failures")
    told = [f"{w.count(held_back)} never sent"] if held_back else []
    if isinstance(failures, Mapping):
        told += [f"{w.count(n)} {w.plain(reason, 80)}" for reason in failures if (n := w.number(failures, reason))]
    return el("p", f"Scheduled publishes that did not go out or failed: {', '.join(told)}.") if told else None


def _completeness(account: object) -> str:
    share = w.number(account, "completeness")
    expected, delivered = w.number(account, "expected"), w.number(account, "delivered")
    if expected == 0:
        return "nothing was due"
    if share is None and expected and delivered is not None:
        share = min(1.0, delivered / expected)
    return w.percent(share)
