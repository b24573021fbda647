"""The storm lab as one page that asks the network for nothing.

Lab --> curves of all versions over the minutes of the real system, predictions dotted
    \\-> time to 99 % over the storm number: the model's line, the runs' points
"""

from __future__ import annotations

from typing import Any

from loadtest.report import lab as told
from loadtest.report import wording as w
from loadtest.report.chart import Chart, label
from loadtest.report.lab import Lab, Telling
from loadtest.report.markup import Html, el, table
from loadtest.report.page import figure, page, section
from loadtest.report.recovery import curve

_COLOURS = 4
_DASHES = ("solid", "dash", "dashdot", "longdash", "longdashdot")
_SYMBOLS = ("circle", "diamond", "square", "triangle-up")
_FIRST_MIN = 0.05
"""Where the logarithmic axis begins: 3 s after the drop, in minutes."""


def render_lab(lab: Lab) -> str:
    """Return the page as the text of an HTML document."""
    charts = [chart for chart in (curves_chart(lab), sweep_chart(lab)) if chart is not None]
    drawn = {chart.key: figure(chart) for chart in charts}
    body = [
        el(
            "header",
            el("p", "Gateway load test", class_="overline"),
            el("h1", "The storm, version by version"),
            el("p", "One run each. Times are those of the real system.", class_="meta"),
        ),
        el("p", told.sentence(lab), class_="story"),
        section(
            "versions",
            f"Side by side, S = {lab.number:.3g}",
            drawn.get("lab-curves"),
            table(
                told.VERSIONS_HEAD,
                told.version_rows(lab),
                "Recovery of each version, in the real system's time",
                "metrics",
            ),
        ),
        _table_section("faults", "Beside the storm", told.FAULTS_HEAD, told.fault_rows(lab)),
        section(
            "sweep",
            "One matching point would be luck",
            drawn.get("lab-sweep"),
            table(told.SWEEP_HEAD, told.sweep_rows(lab), "The storm at several storm numbers and scales"),
        )
        if lab.sweep
        else None,
        _table_section(
            "thresholds", "Thresholds, in the time of each run", told.THRESHOLDS_HEAD, told.threshold_lines(lab)
        ),
        section("scale", "What was scaled", *(el("p", sentence) for sentence in told.scale_sentences(lab))),
    ]
    return page("The storm, version by version", body, charts)


def _table_section(key: str, title: str, head: tuple[str, ...], rows: list[list[str]]) -> Html | None:
    return section(key, title, table(head, rows, title, "thresholds")) if rows else None


def curves_chart(lab: Lab) -> Chart | None:
    """Return every version's recovery over the real system's minutes, and what was predicted."""
    traces = [
        trace for position, one in enumerate(lab.versions) for trace in _version_traces(position, one) if trace["x"]
    ]
    if not traces:
        return None
    return Chart(
        key="lab-curves",
        title="Clients that are back",
        caption="Share of the clients subscribed again, by time of the real system since the drop; dotted: predicted.",
        traces=traces,
        layout={
            "xaxis": {
                "title": {"text": "minutes of the real system since the drop (logarithmic)"},
                "type": "log",
                "tickmode": "array",
                "tickvals": [0.1, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 240, 480],
                "ticktext": ["0.1", "0.5", "1", "2", "5", "10", "15", "30", "1 h", "2 h", "4 h", "8 h"],
            },
            "yaxis": {"title": {"text": "% of clients"}, "range": [0, 104]},
            "margin": {"t": 16},
        },
    )


def _version_traces(position: int, one: Telling) -> list[dict[str, Any]]:
    name, colour = label(one.version, 60), f"@series-{position % _COLOURS + 1}"
    times, shares = curve(one.data.curves, w.text(one.event, "name"), "subscribed")
    measured = _in_minutes([t * one.time for t in times], shares)
    model = w.dig(one.run, "prediction", "curve")
    predicted = _in_minutes(
        [t for t in w.items(model, "t_s") if isinstance(t, int | float)],
        [100 * share for share in w.items(model, "subscribed") if isinstance(share, int | float)],
    )
    shared: dict[str, Any] = {"type": "scatter", "mode": "lines", "legendgroup": name, "hovertemplate": "%{y:.4~g} %"}
    dash = _DASHES[position % len(_DASHES)]
    return [
        shared | measured | {"name": name, "line": {"color": colour, "dash": dash, "width": 2.5}},
        shared
        | predicted
        | {"name": f"{name}, predicted", "showlegend": False, "opacity": 0.75}
        | {"line": {"color": colour, "dash": "dot", "width": 1.4}},
    ]


def _in_minutes(times_s: list[float], shares: list[float]) -> dict[str, list[float]]:
    kept = [(t / 60, share) for t, share in zip(times_s, shares, strict=False) if t / 60 >= _FIRST_MIN]
    return {"x": [round(t, 4) for t, _ in kept], "y": [round(share, 3) for _, share in kept]}


def sweep_chart(lab: Lab) -> Chart | None:
    """Return the time to 99 % over the storm number: the model's line, and a point for each run, by scale."""
    known = [(number, back_s) for number, back_s in lab.model if back_s is not None]
    if not known:
        return None
    traces: list[dict[str, Any]] = [
        {"type": "scatter", "mode": "lines", "name": "the model", "hovertemplate": "S = %{x}: %{y:.3~g} h"}
        | {"x": [round(number, 3) for number, _ in known], "y": [round(back_s / 3600, 4) for _, back_s in known]}
        | {"line": {"color": "@series-3", "width": 2, "dash": "dot"}}
    ]
    for position, scale in enumerate(dict.fromkeys(one.scale_words for one in lab.sweep)):
        points = [
            (one.number, back_s / 3600)
            for one in lab.sweep
            if one.scale_words == scale and (back_s := w.number(one.real, "t_sub_s", "99")) is not None
        ]
        traces.append(
            {"type": "scatter", "mode": "markers", "name": f"measured, {label(scale, 60)}"}
            | {"x": [round(number, 3) for number, _ in points], "y": [round(hours, 4) for _, hours in points]}
            | {"hovertemplate": "S = %{x}: %{y:.3~g} h"}
            | {"marker": {"color": f"@series-{position % 2 + 1}", "size": 11, "symbol": _SYMBOLS[position % 4]}}
        )
    return Chart(
        key="lab-sweep",
        title="How long the storm lasts, by storm number",
        caption="Hours of the real system until 99 % are back: the model's curve, and what was measured in small.",
        traces=traces,
        layout={
            "xaxis": {"title": {"text": "storm number S"}},
            "yaxis": {"title": {"text": "hours until 99 % are back"}, "rangemode": "tozero"},
            "margin": {"t": 16},
        },
    )
