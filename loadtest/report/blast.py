"""How far an event reached: who was disconnected, who was merely degraded, and the p99 of all others after / before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loadtest.report import wording as w


def blast_rows(event: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return (figure, value, meaning) of one event; none where its run did not know of them."""
    r = w.dig(event, "recovery")
    if w.number(r, "blast_radius") is None:
        return []
    judged = w.number(r, "others", "judged")
    return [
        ("Blast radius", w.percent(w.number(r, "blast_radius")), "share of all clients that it disconnected"),
        (
            "Degraded",
            w.percent(w.number(r, "degraded")),
            f"share of all clients that stayed, p99 above twice before; of {w.count(judged)} clients looked at"
            if judged
            else "share of all clients that stayed, p99 above twice before",
        ),
        ("The others' p99", others(event), "after / before, of clients that it did not disconnect"),
    ]


def blast_figures(event: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return (name, value, note) for the key figures of a run, when the event left anybody connected."""
    radius = w.number(event, "recovery", "blast_radius")
    if radius is None or not 0 < radius < 1:
        return []
    name = w.plain(w.text(event, "name") or "event", 24)
    return [(f"Blast radius of {name}", w.percent(radius), f"the others' p99 after / before {others(event)}")]


def others(event: Mapping[str, Any]) -> str:
    """Write p99 after / before of those that stayed, with its 95 % interval: 1.02 x (0.95 to 1.11)."""
    ratio = w.number(event, "recovery", "others_p99_ratio")
    low, high = (w.number(event, "recovery", "others", "p99_ratio_95", end) for end in ("low", "high"))
    if ratio is None or low is None or high is None:
        return w.factor(ratio)
    return f"{w.factor(ratio)} ({low:.2f} to {high:.2f})"
