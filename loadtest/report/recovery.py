"""Recovery after an event: the curve of the clients that are back, and its figures.

A percentile that was never reached has no marker on the curve and reads "not recovered" in the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from loadtest.report import wording as w
from loadtest.report.blast import blast_rows
from loadtest.report.chart import Chart, label
from loadtest.report.data import ReportData
from loadtest.report.decimate import rows_to_keep
from loadtest.report.markup import Html, table

MARKED = ("50", "90", "99", "99.9")
"""Percentages marked on the curve."""

_STAGES = (
    ("connected", "t_conn_s"),
    ("subscriptions acknowledged", "t_ack_s"),
    ("subscribed again: reached by a message, too", "t_sub_s"),
)
MOST_CANARIES = 4
"""Canaries whose times are told."""

_NOTE_DROP = {"50": 18, "90": 30, "99": 70, "99.9": 96}
"""Pixels from a mark down to its label: apart from each other even where the curve is steep."""


def curve(curves: Mapping[str, Any], name: str, which: str) -> tuple[list[float], list[float]]:
    """Return (seconds since the drop, percent of the population) of one curve, thinned; empty when it is not there."""
    times, shares = w.items(curves, name, "t_s"), w.items(curves, name, which)
    pairs = [
        (float(t), float(share))
        for t, share in zip(times, shares, strict=False)
        if isinstance(t, int | float) and isinstance(share, int | float)
    ]
    kept = rows_to_keep([[share for _, share in pairs]]) if pairs else []
    return [round(pairs[row][0], 4) for row in kept], [round(100 * pairs[row][1], 4) for row in kept]


def recovery_charts(data: ReportData) -> list[tuple[Mapping[str, Any], Chart | None]]:
    """Return every event of the run with its chart, None where the folder holds no curve for it."""
    return [
        (event, _recovery_chart(data, event, position)) for position, event in enumerate(w.items(data.run, "events"))
    ]


def _recovery_chart(data: ReportData, event: Mapping[str, Any], position: int) -> Chart | None:
    name = w.text(event, "name")
    back_t, back_share = curve(data.curves, name, "subscribed")
    connected_t, connected_share = curve(data.curves, name, "connected")
    acked_t, acked_share = curve(data.curves, name, "acknowledged")
    if not back_t and not connected_t:
        return None
    traces: list[dict[str, Any]] = [
        {"type": "scatter", "mode": "lines", "name": "connected", "x": connected_t, "y": connected_share}
        | {"line": {"color": "@series-3", "dash": "dash", "width": 1.5, "shape": "hv"}, "hovertemplate": "%{y:.4~g} %"},
        *(
            [
                {"type": "scatter", "mode": "lines", "name": "acknowledged", "x": acked_t, "y": acked_share}
                | {"line": {"color": "@series-2", "dash": "dot", "width": 1.5, "shape": "hv"}}
                | {"hovertemplate": "%{y:.4~g} %"}
            ]
            if acked_t
            else []
        ),
        {"type": "scatter", "mode": "lines", "name": "subscribed again", "x": back_t, "y": back_share}
        | {"line": {"color": "@series-1", "width": 2.5, "shape": "hv"}, "hovertemplate": "%{y:.4~g} %"},
    ]
    reached = [(p, t) for p in MARKED if (t := w.number(event, "recovery", "t_sub_s", p)) is not None]
    if reached:
        traces.append(
            {"type": "scatter", "mode": "markers", "name": "t50, t90, t99, t99.9", "hoverinfo": "skip"}
            | {"x": [t for _, t in reached], "y": [float(p) for p, _ in reached]}
            | {"marker": {"color": "@surface", "size": 9, "symbol": "circle", "line": {"color": "@ink", "width": 2}}}
        )
    return Chart(
        key=f"recovery-{position}",
        title=f"Recovery after {w.plain(name, 60)}",
        caption=(
            "Share of the clients that were subscribed just before the event: connected again, with all their "
            "subscriptions acknowledged, and reached by a message too (subscribed again)."
        ),
        traces=traces,
        layout={
            "xaxis": {"title": {"text": "seconds since the drop"}, "rangemode": "tozero"},
            "yaxis": {"title": {"text": "% of clients"}, "range": [0, 104]},
            "hovermode": "x unified",
            "margin": {"t": 16},
            "annotations": [_step_note(p, t, max([*back_t, 1e-9])) for p, t in reached],
        },
    )


def _step_note(step: str, time_s: float, end_s: float) -> dict[str, Any]:
    late = time_s > 0.7 * end_s
    return {
        "x": time_s,
        "y": float(step),
        "text": f"<b>{step} %</b> {w.seconds(time_s)}",
        "ax": -40 if late else 40,
        "ay": _NOTE_DROP[step],
        "arrowwidth": 1,
        "arrowhead": 0,
        "arrowcolor": "@muted",
        "standoff": 6,
        "xanchor": "right" if late else "left",
        "font": {"size": 12, "color": "@ink"},
        "bgcolor": "@paper",
    }


def recovery_times(event: Mapping[str, Any]) -> Html:
    """Return the times after which shares of the clients were connected, acknowledged, and reached by a message."""
    rows = [
        [title, *(w.recovered(event, "recovery", key, p) for p in w.RECOVERY_STEPS)]
        for title, key in _STAGES
        if key != "t_ack_s" or w.dig(event, "recovery", key) is not None  # runs of before do not have it
    ]
    head = ("Clients back", *(f"{p} %" for p in w.RECOVERY_STEPS))
    return table(head, rows, f"Time until the clients were back after {label_text(event)}")


def recovery_figures(event: Mapping[str, Any]) -> Html:
    """Return the figures of one event beyond its percentiles, each with what it means."""
    r = w.dig(event, "recovery") or {}
    metastable = w.dig(r, "metastable")
    stuck = w.NOT_MEASURED if metastable is None else ("yes" if metastable else "no")
    rows: Sequence[tuple[str, str, str]] = (
        (
            "Dropped",
            f"{w.count(w.number(event, 'dropped'))} of {w.count(w.number(event, 'population'))}",
            "clients subscribed before the event",
        ),
        *blast_rows(event),
        ("Recovered", w.recovered(r, "t_rec_s"), "99 % back and the service as good as before"),
        ("Service as before", w.recovered(r, "t_svc_s"), "fan-out p99 and completeness at their baseline, to stay"),
        ("Attempts", w.count(w.number(r, "attempts")), "connects tried since the drop"),
        ("Amplification", w.factor(w.number(r, "amplification")), "attempts per client"),
        (
            "Storm peak",
            f"{w.count(w.number(r, 'peak_attempts_1s'))} in 1 s, {w.count(w.number(r, 'peak_attempts_10s'))} in 10 s",
            "most attempts",
        ),
        (
            "Secondary drops",
            w.count(w.number(r, "secondary_drops")),
            "drops after the first, of clients that were back or never hit",
        ),
        ("Mean outage", w.seconds(w.number(r, "outage_s_mean")), "time lost per client"),
        ("Lost", w.count(w.number(r, "lost")), "deliveries that missed their deadline because of it"),
        ("Goodput", w.count(w.number(r, "goodput_peak_per_s")), "most clients fully back in a second, mean of ten"),
        ("Shed", w.percent(w.number(r, "shed")), "attempts that the target turned away"),
        ("Waste", w.percent(w.number(r, "waste")), "attempts let in that became no whole session"),
        ("Metastable", stuck, "stayed down although the cause was gone"),
        *_canaries(event),
        *_of_fault(event),
    )
    return table(("Figure", "Value", "Meaning"), rows, f"Figures of {label_text(event)}", "figures")


def _canaries(event: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return how many canaries went out, and when, since the drop."""
    t0_s = w.number(event, "at_s") or 0.0
    after = [w.seconds(at_s - t0_s) for at_s in w.items(event, "canaries_at_s") if isinstance(at_s, int | float)]
    if not after:
        return []
    told = ", ".join(after[:MOST_CANARIES]) + (" ..." if len(after) > MOST_CANARIES else "")
    return [("Canaries", f"{len(after)}, after {told}", "messages sent because clients waited for one")]


def _of_fault(event: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return when a lasting fault was taken back, and what it reported of itself."""
    undone, facts = w.number(event, "undone_at_s"), w.dig(event, "fault")
    rows = [] if undone is None else [("Taken back", w.seconds(undone), "since the start of the run")]
    told = facts if isinstance(facts, Mapping) else {}
    for key in told:
        name = w.plain(key, 60).replace("_", " ").capitalize()
        value = w.number(told, key)
        if name.endswith(" s"):
            rows.append((name.removesuffix(" s"), w.seconds(value), "reported by the fault"))
        else:
            rows.append((name, w.count(value), "reported by the fault"))
    return rows


def label_text(event: Mapping[str, Any]) -> str:
    """Return the event's name for headings: one line, bounded."""
    return w.plain(w.text(event, "name") or "event", 60)


def overlay(names: Sequence[str], curves: Sequence[Mapping[str, Any]], event: str) -> list[dict[str, Any]]:
    """Return the subscribed-again curves of several runs after the event of one name, for one figure."""
    dashes, colours = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot"), 4
    traces = []
    for position, (name, of_run) in enumerate(zip(names, curves, strict=True)):
        times, shares = curve(of_run, event, "subscribed")
        if times:
            traces.append(
                {"type": "scatter", "mode": "lines", "name": label(name, 60), "x": times, "y": shares}
                | {"hovertemplate": "%{y:.4~g} %"}
                | {"line": {"color": f"@series-{position % colours + 1}", "dash": dashes[position % 6], "width": 2.5}}
            )
    return traces
