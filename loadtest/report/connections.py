"""Charts of the population: connections by state, and connects per second."""

from __future__ import annotations

from typing import Any

from loadtest.report import wording as w
from loadtest.report.chart import Chart, Timeline, rows_by_phase
from loadtest.report.data import ReportData

STATES: tuple[tuple[str, str, str, str], ...] = (
    ("subscribed", "subscribed", "@state-subscribed", ""),
    ("subscribing", "subscribing", "@state-subscribing", "/"),
    ("opening", "opening", "@state-opening", "x"),
    ("connecting", "connecting", "@state-connecting", "\\"),
    ("waiting", "waiting", "@state-waiting", "."),
    ("idle", "idle", "@state-idle", ""),
)
"""Key of the interval line, name, colour role and fill pattern, from the bottom of the stack to its top."""


def states_chart(data: ReportData) -> Chart | None:
    """Return the stacked area of connections by state, or None without intervals."""
    if not data.intervals:
        return None
    line = Timeline(data, {key: data.column("connections", key) for key, *_ in STATES})
    traces: list[dict[str, Any]] = [
        {"type": "scatter", "mode": "lines", "stackgroup": "state", "name": name, "x": line.x}
        | {"y": [value or 0 for value in line.columns[key]], "line": {"width": 0, "color": colour}}
        | {"fillcolor": colour}
        | ({"fillpattern": _pattern(pattern, colour)} if pattern else {})
        for key, name, colour, pattern in STATES
    ]
    # A state that nobody was ever in would only lengthen the legend.
    traces = [trace for trace in traces if any(trace["y"])] or traces[:1]
    subscribed, waiting = data.column("connections", "subscribed"), data.column("connections", "waiting")
    layout = line.layout("clients")
    for shape in layout["shapes"]:
        if shape["type"] == "rect":
            # Below a filled stack the phases could not be seen.
            shape |= {"layer": "above", "fillcolor": "@band-above"}
    return Chart(
        key="states",
        title="Connections by state",
        caption=(
            "Every client of the population, each second. Waiting is backoff, connecting is TCP, opening is TLS, "
            "upgrade and session. Dashed lines mark events."
        ),
        traces=traces,
        layout=layout,
        head=("Phase", "Length", "Fewest subscribed", "Most subscribed", "Subscribed at its end", "Most in backoff"),
        rows=rows_by_phase(data, (subscribed, "min"), (subscribed, "max"), (subscribed, "last"), (waiting, "max")),
    )


def _pattern(shape: str, colour: str) -> dict[str, Any]:
    return {"shape": shape, "size": 7, "solidity": 0.2, "fillmode": "replace", "bgcolor": colour, "fgcolor": "@pattern"}


def attempts_chart(data: ReportData) -> Chart | None:
    """Return connect attempts, completed connects and failures per second, or None without intervals."""
    if not data.intervals:
        return None
    failures: list[float | None] = [w.total(line, "failures") for line in data.intervals]
    attempts, connected = data.column("attempts"), data.column("connected")
    line = Timeline(data, {"attempts": attempts, "connected": connected, "failures": failures})
    styles = (
        ("attempts", "attempts", "@series-1", "solid", 2),
        ("connected", "connected", "@series-3", "dash", 1.5),
        ("failures", "failed", "@series-2", "dot", 2),
    )
    traces: list[dict[str, Any]] = [
        {"type": "scatter", "mode": "lines", "name": name, "x": line.x, "y": line.columns[key]}
        | {"line": {"color": colour, "dash": dash, "width": width, "shape": "vh"}}
        for key, name, colour, dash, width in styles
    ]
    return Chart(
        key="attempts",
        title="Connect attempts per second",
        caption="Attempts, the connects that succeeded and the ones that failed, in each second.",
        traces=traces,
        layout=line.layout("per second"),
        head=("Phase", "Length", "Attempts", "Most in 1 s", "Connected", "Failed"),
        rows=rows_by_phase(data, (attempts, "sum"), (attempts, "max"), (connected, "sum"), (failures, "sum")),
        log_axis=True,
    )
