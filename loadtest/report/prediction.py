"""A scaled storm in the report: the time of the real system, and the storm model's prediction beside it.

run.json "scale", "prediction" --> rows (real time, predicted, ratio) --> page and terminal; nothing without them

Law: the run's own figures stay what was measured; a figure of the real system is always called that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from loadtest.report import wording as w
from loadtest.report.chart import Chart
from loadtest.report.data import ReportData
from loadtest.report.decimate import rows_to_keep
from loadtest.report.markup import Html, el, table

HEAD = ("Clients of the real system back", "Measured here", "In its time", "Predicted", "Measured / predicted")
_SHOWN = ("50", "90", "99", "99.9")
_MOST_EVENTS = 3


def is_scaled(run: Mapping[str, Any]) -> bool:
    """Whether the run speaks for a larger system."""
    return w.number(run, "scale", "time") is not None


def sentence(run: Mapping[str, Any]) -> str:
    """Say which system the run speaks for."""
    clients, number = w.number(run, "scale", "real", "clients"), w.number(run, "scale", "storm_number")
    told = "unknown" if number is None else f"{number:.3g}"
    return (
        f"{w.count(w.number(run, 'scale', 'connections'))} connections stand for {w.count(clients)} clients and one"
        f" second for {w.number(run, 'scale', 'time') or 1:g}: storm number S = {told},"
        f" {w.count(w.number(run, 'scale', 'real', 'capacity_per_s'))} connects/s in the real system."
    )


def in_real_time(data: ReportData) -> ReportData:
    """Return a scaled run with its recoveries in the real system's time, to lay beside runs of another scale."""
    time = w.number(data.run, "scale", "time")
    if time is None:
        return data
    events = [_event_in_real_time(event, time) for event in w.items(data.run, "events")]
    curves = {
        name: {**of_event, "t_s": [t * time for t in w.items(of_event, "t_s") if isinstance(t, int | float)]}
        for name, of_event in data.curves.items()
    }
    return replace(data, run={**data.run, "events": events}, curves=curves)


def _event_in_real_time(event: Mapping[str, Any], time: float) -> dict[str, Any]:
    recovery = dict(w.dig(event, "recovery") or {})
    for key in ("t_conn_s", "t_ack_s", "t_sub_s"):
        of_percent = w.dig(recovery, key)
        if of_percent is None:
            continue
        recovery[key] = {percent: _times(w.number(of_percent, percent), time) for percent in of_percent}
    for key in ("t_svc_s", "t_rec_s", "outage_s_mean"):
        recovery[key] = _times(w.number(recovery, key), time)
    return {**event, "recovery": recovery}


def _times(value: float | None, time: float) -> float | None:
    return None if value is None else value * time


def rows(run: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return a row per event and percent: here, in the real system's time, predicted, and the ratio of both."""
    found: list[tuple[str, ...]] = []
    for event in w.items(run, "scale", "events")[:_MOST_EVENTS]:
        name = w.text(event, "name")
        own = next((each for each in w.items(run, "events") if w.text(each, "name") == name), None)
        for percent in _SHOWN:
            found.append(
                (
                    f"{percent} % after {w.plain(name or 'event', 40)}",
                    w.recovered(own, "recovery", "t_sub_s", percent),
                    w.recovered(event, "t_sub_s", percent),
                    w.recovered(run, "prediction", "t_sub_s", percent),
                    _ratio(w.number(run, "prediction", "measured_to_predicted", name, percent)),
                )
            )
    return found


def key_figures(run: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return (name, value, note) for each event: the real system's T99, and what was predicted."""
    if not is_scaled(run):
        return []
    predicted = w.recovered(run, "prediction", "t_sub_s", "99")
    return [
        (
            f"Real system: 99 % back after {w.plain(w.text(event, 'name') or 'event', 24)}",
            w.recovered(event, "t_sub_s", "99"),
            f"predicted {predicted}; S = {w.number(run, 'scale', 'storm_number') or 0:.3g}",
        )
        for event in w.items(run, "scale", "events")[:_MOST_EVENTS]
    ]


def scaled_section(data: ReportData) -> list[Html | None]:
    """Return what the page says of a scaled storm, without its chart."""
    attempts = w.number(data.run, "prediction", "amplification")
    told = (
        "" if attempts is None else f" The model expects {w.factor(attempts).removesuffix(' x')} attempts per client."
    )
    return [
        el("p", sentence(data.run) + told),
        table(HEAD, rows(data.run), "The storm in the real system's time, measured and predicted"),
    ]


def prediction_chart(data: ReportData) -> Chart | None:
    """Return the recovery in the real system's time: measured curves and the model's; None where there is none."""
    time = w.number(data.run, "scale", "time")
    if time is None:
        return None
    traces = [
        _trace(w.text(event, "name"), data.curves.get(w.text(event, "name")), time, color)
        for event, color in zip(
            w.items(data.run, "scale", "events"), ("@series-1", "@series-2", "@series-4"), strict=False
        )
    ]
    traces.append(_trace("predicted", w.dig(data.run, "prediction", "curve"), 1.0, "@series-3", dash="dash"))
    drawn = [trace for trace in traces if trace is not None]
    if not drawn:
        return None
    return Chart(
        key="prediction",
        title="The storm of the real system",
        caption="Share of the clients that are back, in hours of the real system: measured in small, and predicted.",
        traces=drawn,
        layout={
            "xaxis": {"title": {"text": "hours of the real system since the drop"}, "rangemode": "tozero"},
            "yaxis": {"title": {"text": "% of clients"}, "range": [0, 104]},
            "hovermode": "x unified",
            "margin": {"t": 16},
        },
    )


def _trace(name: str, curve: object, time: float, color: str, dash: str = "solid") -> dict[str, Any] | None:
    pairs = [
        (float(t), float(share))
        for t, share in zip(w.items(curve, "t_s"), w.items(curve, "subscribed"), strict=False)
        if isinstance(t, int | float) and isinstance(share, int | float)
    ]
    if not pairs:
        return None
    kept = [pairs[row] for row in rows_to_keep([[share for _, share in pairs]])]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": w.plain(name or "measured", 40),
        "x": [round(t * time / 3600, 5) for t, _ in kept],
        "y": [round(100 * share, 3) for _, share in kept],
        "line": {"color": color, "width": 2, "dash": dash},
        "hovertemplate": "%{y:.4~g} %",
    }


def _ratio(value: float | None) -> str:
    return w.NOT_MEASURED if value is None else f"{value:.2f}"
