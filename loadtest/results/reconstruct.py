"""Rebuild the summary of a run that ended without one, from its manifest, interval log and histograms.

The law of this file: what the logs counted is summed, what they do not hold is null, and the verdict is "interrupted".
Nothing is judged: thresholds of a run that was not seen to its end have no outcome.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from loadtest.clock import NS_PER_S
from loadtest.metrics import stretch, sums, time_to_share
from loadtest.metrics.recovery import RecoveryCurve
from loadtest.metrics.tally import Tally
from loadtest.results import folder
from loadtest.results.histogram_log import read_totals
from loadtest.results.summary import RunFacts, build_summary

Lines = Sequence[Mapping[str, Any]]

_HARNESS = {"version": "unknown", "locust": "unknown", "python": "unknown", "kernel": "unknown", "workers": 0}
_DELIVERY = ("expected", "delivered", "lost", "duplicated", "reordered")


def reconstruct(path: Path, manifest: Mapping[str, Any], intervals: Lines, marks: Lines) -> dict[str, Any]:
    """Return a `loadtest.run/1` of what is known about the run in the folder `path`.

    Args:
        manifest: its manifest, over the header of its interval log.
        intervals: interval lines by time. `marks`: marks by time.
    """
    totals = _histograms(path / folder.HISTOGRAMS)
    last_s = max((_figure(line, "t_s") for line in (*intervals, *marks)), default=0.0)
    started_at = str(manifest.get("started_at") or "")
    facts = RunFacts(
        run_id=str(manifest.get("run_id") or path.name),
        started_at=started_at,
        finished_at=None,
        profile={"name": "unknown", "sha256": ""} | _section(manifest, "profile"),
        target={"url": "unknown", "dialect": "unknown"} | _section(manifest, "target"),
        harness=_HARNESS | {"cores": 0} | _section(manifest, "harness"),
        connections=_connections(intervals, totals, _section(manifest, "connections")),
        fanout=_fanout(intervals, totals),
        generator=_generator(intervals),
        events=_events(intervals, marks),
        interrupted=f"The run ended without a summary{_when(started_at, last_s)}; this one is reconstructed.",
    )
    return build_summary(facts) | {"reconstructed": True}


def _connections(intervals: Lines, totals: Mapping[str, Tally], known: Mapping[str, Any]) -> dict[str, Any]:
    subscribed = [int(_figure(line, "connections", "subscribed")) for line in intervals]
    failures: dict[str, int] = {}
    for line in intervals:
        for reason, n in _section(line, "failures").items():
            failures[reason] = failures.get(reason, 0) + (n if isinstance(n, int) else 0)
    target = max((int(_figure(line, "target")) for line in intervals), default=0)
    return {
        "target": target,
        **known,
        "peak": max(subscribed, default=0),
        "at_end": subscribed[-1] if subscribed else 0,
        "attempts": _sum(intervals, "attempts"),
        "failures": failures,
        "connect_ms": totals.get(sums.CONNECT, Tally()).latency_ms(),
        "subscribe_ms": totals.get(sums.SUBSCRIBE, Tally()).latency_ms(),
    }


def _fanout(intervals: Lines, totals: Mapping[str, Tally]) -> dict[str, Any]:
    counts = {key: _sum(intervals, "delivery", key) for key in _DELIVERY}
    expected = counts["expected"]
    return {
        **counts,
        "published": _sum(intervals, "fanout", "published"),
        "completeness": counts["delivered"] / expected if expected else None,
        "latency_ms": totals.get(sums.FANOUT, Tally()).latency_ms(),
        "uncorrected_ms": totals.get(sums.UNCORRECTED, Tally()).latency_ms(),
        "ack_ms": totals.get(sums.ACK, Tally()).latency_ms(),
        "ttk_ms": time_to_share.figures(
            {share: totals.get(tag, Tally()) for share, tag in stretch.TTK.items()},
            {share: _sum(intervals, "ttk", "never", str(share)) for share in stretch.TTK},
        ),
        "ttk_traced": _sum(intervals, "ttk", "traced"),
    }


def _generator(intervals: Lines) -> dict[str, Any]:
    """Only maxima can be told: a p99 of the whole run does not follow from the p99 of its seconds."""
    cpu = [_figure(line, "generator", "cpu_max_percent") for line in intervals]
    most = max((int(_figure(line, "workers")) for line in intervals), default=0)
    left = int(_figure(intervals[-1], "workers")) if intervals else 0
    return {"cpu_max_percent": max(cpu, default=None), "workers_lost": most - left}


def _events(intervals: Lines, marks: Lines) -> list[dict[str, Any]]:
    """Follow each event through the interval lines: its curves to the second, which is all that the log holds."""
    kinds = {str(mark["mark"]): str(mark.get("kind")) for mark in marks if mark.get("kind") != "phase"}
    seen: dict[str, list[tuple[float, Mapping[str, Any]]]] = {}
    for line in intervals:
        events = line.get("events")
        for event in events if isinstance(events, list) else ():
            if isinstance(event, Mapping) and "name" in event:
                seen.setdefault(str(event["name"]), []).append((_figure(line, "t_s"), event))
    return [
        {
            "name": name,
            "kind": kinds.get(name, "unknown"),
            "at_s": _figure(course[0][1], "at_s"),
            "population": int(_figure(course[-1][1], "population")),
            "dropped": int(_figure(course[-1][1], "dropped")),
            "recovery": _recovery(course, intervals),
        }
        for name, course in seen.items()
    ]


def _recovery(course: Sequence[tuple[float, Mapping[str, Any]]], intervals: Lines) -> dict[str, Any]:
    t0_s = _figure(course[0][1], "at_s")
    population = int(_figure(course[-1][1], "population"))
    curve = RecoveryCurve(round(t0_s * NS_PER_S), population)
    before = {"connected": population, "subscribed": population, "dropped": 0}
    for t_s, event in course:
        now = {key: int(_figure(event, key)) for key in before}
        t_ns = round(t_s * NS_PER_S)
        curve.connected(t_ns, now["connected"] - before["connected"])
        curve.subscribed(t_ns, now["subscribed"] - before["subscribed"])
        if now["dropped"] > before["dropped"]:
            curve.primary_drop(t_ns, now["dropped"] - before["dropped"])
        before = now
    for line in intervals:
        if (t_s := _figure(line, "t_s")) > t0_s:
            curve.attempt(round(t_s * NS_PER_S), int(_figure(line, "attempts")))
    until_ns = round(course[-1][0] * NS_PER_S)
    unknown = dict.fromkeys(
        (
            "secondary_drops",
            "goodput_peak_per_s",
            "shed",
            "waste",
            "metastable",
            "degraded",
            "others_p99_ratio",
            "others",
        )
    )
    return curve.as_recovery(until_ns, t_svc_s=None, t_rec_s=None, lost=None) | unknown


def _histograms(path: Path) -> dict[str, Tally]:
    try:
        return read_totals(path)[0]
    except FileNotFoundError:
        return {}


def _when(started_at: str, last_s: float) -> str:
    try:
        seen = datetime.fromisoformat(started_at) + timedelta(seconds=last_s)
    except (ValueError, OverflowError):
        return f" after {last_s:g} s"
    return f" after {last_s:g} s, last seen at {seen.isoformat(timespec='seconds')}"


def _section(line: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = line.get(key)
    return dict(value) if isinstance(value, Mapping) else {}


def _figure(line: Mapping[str, Any], *keys: str) -> float:
    value: Any = line
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    plain = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if plain else 0.0


def _sum(lines: Iterable[Mapping[str, Any]], *keys: str) -> int:
    return int(sum(_figure(line, *keys) for line in lines))
