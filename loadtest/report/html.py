"""Write one run as one HTML file: verdict first, then what happened, then how far to trust it.

verdict, story, key figures, thresholds
connections | recovery of each event | fan-out and deliveries | failures
the generator's own account | environment and profile
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loadtest.report import wording as w
from loadtest.report.chart import Chart
from loadtest.report.connections import attempts_chart, states_chart
from loadtest.report.data import ReportData
from loadtest.report.fanout import delivery_table, fanout_chart, latency_table, unsent
from loadtest.report.generator import generator_chart, generator_table, trust
from loadtest.report.markup import Html, el, join
from loadtest.report.page import figure, page, section
from loadtest.report.prediction import is_scaled, prediction_chart, scaled_section
from loadtest.report.recovery import label_text, recovery_charts, recovery_figures, recovery_times
from loadtest.report.summary_sections import (
    banner,
    environment,
    failures_table,
    story_paragraph,
    thresholds_table,
    tiles,
)
from loadtest.results.folder import write_whole


def write_html(data: ReportData, path: Path) -> None:
    """Write the report of one run to `path`, replacing what is there.

    Raises:
        UsageError: plotly is not installed.
        ResultsError: the file cannot be written.
    """
    write_whole(path, render(data).encode())


def render(data: ReportData) -> str:
    """Return the report of one run as the text of an HTML document."""
    recoveries = recovery_charts(data)
    states, attempts, fanout, generator = (
        states_chart(data),
        attempts_chart(data),
        fanout_chart(data),
        generator_chart(data),
    )
    predicted = prediction_chart(data)
    drawn = [states, attempts, fanout, generator, predicted, *(chart for _, chart in recoveries)]
    body = [
        _header(data),
        banner(data.run),
        story_paragraph(data.run),
        tiles(data.run),
        _warnings(data),
        section("thresholds", "Thresholds", thresholds_table(data.run)),
        section("connections", "Connections", _place(states), _place(attempts)),
        section("recovery", "Recovery", _recoveries(recoveries)),
        section("scale", "The real system", *scaled_section(data), _place(predicted)) if is_scaled(data.run) else None,
        section(
            "fan-out",
            "Fan-out and delivery",
            _place(fanout),
            delivery_table(data.run),
            unsent(data.run),
            latency_table(data.run),
        ),
        section("failures", "Failures", failures_table(data.run)),
        section("trust", "How far to trust it", _trust(data), generator_table(data.run), _place(generator)),
        section("environment", "Environment", environment(data)),
        el(
            "footer",
            el("p", f"Run {w.text(data.run, 'run_id') or 'unnamed'}, ", w.text(data.run, "schema") or "no schema"),
        ),
    ]
    title = f"{verdict_title(data)} - {w.plain(data.name, 80)}"
    return page(title, body, [chart for chart in drawn if chart is not None])


def verdict_title(data: ReportData) -> str:
    """Return the verdict for the title of the browser's tab."""
    return (w.text(data.run, "verdict") or "no verdict").capitalize()


def _header(data: ReportData) -> Html:
    version, dialect = w.text(data.run, "target", "version"), w.text(data.run, "target", "dialect")
    ran = f"ran for {w.seconds(data.end_s)}" if data.end_s else ""
    told = [w.plain(part, 120) for part in (version, dialect, w.moment(w.text(data.run, "started_at")), ran) if part]
    return el(
        "header",
        el("p", "Gateway load test", class_="overline"),
        el("h1", w.plain(data.name, 120)),
        el("p", *(el("span", part) for part in told), class_="meta"),
    )


def _warnings(data: ReportData) -> Html | None:
    if not data.warnings:
        return None
    return el(
        "ul", *(el("li", w.plain(warning)) for warning in data.warnings), class_="warnings", aria_label="Warnings"
    )


def _place(chart: Chart | None) -> Html | None:
    return None if chart is None else figure(chart)


def _recoveries(recoveries: list[tuple[Mapping[str, Any], Chart | None]]) -> Html:
    if not recoveries:
        return el("p", "Nothing was dropped: the run had no event to recover from.", class_="muted")
    parts: list[Html] = []
    for event, chart in recoveries:
        if chart is None:
            parts.append(el("h3", f"Recovery after {label_text(event)}"))
            parts.append(el("p", "The run folder holds no recovery curve for this event.", class_="muted"))
        else:
            parts.append(figure(chart))
        parts.append(recovery_times(event))
        parts.append(recovery_figures(event))
    return join(parts)


def _trust(data: ReportData) -> Html:
    judged = trust(data.run)
    return el("p", el("strong", f"Trust: {judged.grade}."), " ", " ".join(judged.sentences), class_="trust")
