"""One chart: what plotly draws, the words beside it and the table that says the same without a picture.

Colours are roles ("@series-1", "@rule"), resolved in the browser from the style sheet: light, dark and print follow
without a second figure. Every trace differs by dash, pattern or marker as well. Text of strangers that plotly would
read as markup passes `label`.

    ReportData --(connections|fanout|recovery|generator)--> Chart --page--> figure + caption + table
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from loadtest.report import wording as w
from loadtest.report.data import ReportData, Span
from loadtest.report.decimate import rows_to_keep

LABEL_ROOM = 0.14
"""Share of the time axis that the label of an event needs; where two rows are full, an event keeps only its line."""

PHASE_NAMES = {"ramp": "ramp", "warmup": "warm-up", "hold": "hold", "drain": "drain"}


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure and its alternatives.

    Attributes:
        key: id of the element, made of [a-z0-9-].
        title: heading.
        caption: sentence for the eye and, as label of the figure, for the ear.
        traces: plotly traces; layout: plotly layout.
        head, rows: the table that replaces the figure for who cannot see it.
        log_axis: offer a switch between a linear and a logarithmic y axis.
    """

    key: str
    title: str
    caption: str
    traces: list[dict[str, Any]]
    layout: dict[str, Any]
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = field(default_factory=list)
    log_axis: bool = False


def label(words: object, limit: int = 40) -> str:
    """Return text of a stranger for plotly, which reads a subset of HTML in names and annotations."""
    return html.escape(w.plain(words, limit), quote=False)


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """Time since the start of the run, in the unit that suits its length."""

    scale_s: float
    unit: str

    @classmethod
    def covering(cls, end_s: float) -> TimeAxis:
        """Choose seconds up to 10 minutes, minutes up to 3 hours, else hours."""
        if end_s <= 600:
            return cls(1.0, "seconds")
        return cls(60.0, "minutes") if end_s <= 10_800 else cls(3600.0, "hours")

    def of(self, times_s: Sequence[float]) -> list[float]:
        """Return times on this axis, rounded to what a screen can show."""
        return [round(time_s / self.scale_s, 4) for time_s in times_s]


class Timeline:
    """The rows of the interval log that one chart draws, thinned, and the layout that all time charts share."""

    def __init__(self, data: ReportData, columns: dict[str, list[float | None]]) -> None:
        self.data = data
        self.axis = TimeAxis.covering(data.end_s)
        kept = rows_to_keep(list(columns.values()))
        times_s = data.times_s()
        self.x = self.axis.of([times_s[row] for row in kept])
        self.columns = {name: [column[row] for row in kept] for name, column in columns.items()}

    def layout(self, y_title: str) -> dict[str, Any]:
        """Return axes, phase bands and event lines."""
        end = max(self.data.end_s / self.axis.scale_s, 1e-9)
        shapes, notes = _phase_bands(self.data.phases(), self.axis, end)
        lines, names = _event_lines(self.data, self.axis, end)
        return {
            "xaxis": {"title": {"text": f"{self.axis.unit} since the start"}, "range": [0, round(end, 4)]},
            "yaxis": {"title": {"text": y_title}, "rangemode": "tozero"},
            "shapes": shapes + lines,
            "annotations": notes + names,
            "hovermode": "x unified",
        }


def _phase_bands(spans: list[Span], axis: TimeAxis, end: float) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    shapes: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    for position, span in enumerate(spans):
        left, right = axis.of([span.start_s, span.end_s])
        if position % 2:
            shapes.append(
                {"type": "rect", "xref": "x", "yref": "paper", "x0": left, "x1": right, "y0": 0, "y1": 1}
                | {"fillcolor": "@band", "line": {"width": 0}, "layer": "below"}
            )
        if right - left >= 0.07 * end:
            name = PHASE_NAMES.get(span.phase, label(span.phase, 20))
            notes.append(
                {"x": round((left + right) / 2, 4), "y": 1, "xref": "x", "yref": "paper", "text": name}
                | {"showarrow": False, "yanchor": "bottom", "font": {"size": 11, "color": "@muted"}}
            )
    return shapes, notes


def _event_lines(data: ReportData, axis: TimeAxis, end: float) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    shapes: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    free_from = [0.0, 0.0]
    for name, at_s in event_times(data):
        x = axis.of([at_s])[0]
        shapes.append(
            {"type": "line", "xref": "x", "yref": "paper", "x0": x, "x1": x, "y0": 0, "y1": 1}
            | {"line": {"color": "@event", "width": 1.5, "dash": "dash"}}
        )
        row = next((row for row, free in enumerate(free_from) if x >= free), None)
        if row is not None:
            free_from[row] = x + LABEL_ROOM * end
            notes.append(
                {"x": x, "y": 1, "xref": "x", "yref": "paper", "yshift": 16 + 14 * row, "showarrow": False}
                | {"yanchor": "bottom", "xanchor": "right" if x > 0.85 * end else "left" if x < 0.1 * end else "center"}
                | {"text": f"<b>{label(name)}</b> {w.seconds(at_s)}", "font": {"size": 12, "color": "@event"}}
            )
    return shapes, notes


def event_times(data: ReportData) -> list[tuple[str, float]]:
    """Return (name, seconds since the start) of every event of the run, and of faults that became none."""
    times = {w.text(event, "name"): w.number(event, "at_s") for event in w.items(data.run, "events")}
    for fault in data.faults():
        times.setdefault(w.text(fault, "mark"), w.number(fault, "t_s"))
    known = [(name, at_s) for name, at_s in times.items() if at_s is not None]
    return sorted(known, key=lambda pair: pair[1])


def rows_by_phase(data: ReportData, *columns: tuple[list[float | None], str]) -> list[list[str]]:
    """Return one row per phase: its length, then for each (column, how) its "sum", "max", "min", "last" in words."""
    times_s = data.times_s()
    rows = []
    for span in data.phases():
        inside = [row for row, time_s in enumerate(times_s) if span.start_s < time_s <= span.end_s]
        cells = [PHASE_NAMES.get(span.phase, span.phase), w.seconds(span.end_s - span.start_s)]
        for column, how in columns:
            known = [value for row in inside if (value := column[row]) is not None]
            cells.append(w.NOT_MEASURED if not known else _written(known, how))
        rows.append(cells)
    return rows


def _written(known: list[float], how: str) -> str:
    if how == "max ms":
        return w.milliseconds(max(known))
    reduced = {"sum": sum(known), "max": max(known), "min": min(known), "last": known[-1]}[how]
    return w.count(reduced)
