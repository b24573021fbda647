"""A metric over all stored runs of a profile, oldest first, with its changes.

runs/*  --gather--> runs of the profile --figure--> Point, Point ... --change_points--> Change
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtest.compare.change_points import Change, change_points
from loadtest.compare.group import gather, run_id, section
from loadtest.compare.headline import resolve
from loadtest.errors import ResultsError, UsageError
from loadtest.metrics.thresholds import figure
from loadtest.results.reader import RunRecord

SCHEMA = "loadtest.history/1"


@dataclass(frozen=True, slots=True)
class Point:
    """One run: `value` in the metric's unit, infinite where a recovery did not come."""

    run_id: str
    started_at: str
    version: str
    value: float


@dataclass(frozen=True, slots=True)
class History:
    """A metric's history: `changes` index `points`; `left_out` names the runs that are not among them, and why."""

    metric: str
    unit: str
    profile: str
    points: tuple[Point, ...]
    changes: tuple[Change, ...]
    left_out: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the history as `loadtest.history/1`; a recovery that did not come is null."""
        return {
            "schema": SCHEMA,
            "metric": self.metric,
            "unit": self.unit,
            "profile": self.profile,
            "points": [
                {"run_id": p.run_id, "started_at": p.started_at, "version": p.version, "value": p.value}
                for p in self.points
            ],
            "changes": [
                {"run_id": self.points[c.at].run_id, "at": c.at, "before": c.before, "after": c.after}
                for c in self.changes
            ],
            "left_out": list(self.left_out),
        }


def trace(runs: Path, metric: str, profile: str | None = None, *, keep_invalid: bool = False) -> History:
    """Return a metric's history from a folder of runs.

    Args:
        profile: whose runs; None where all runs are of one.

    Raises:
        UsageError: no such metric, or several profiles and none named.
        ResultsError: no folder, no run of the profile, or none that has the metric.
    """
    ((name, wanted, event),) = resolve([metric])
    group = gather([runs], keep_invalid=keep_invalid)
    chosen, of = _of_profile(group.runs, profile, runs)
    values = [figure(record.run, wanted, event) for record in chosen]
    points = [_point(record, value) for record, value in zip(chosen, values, strict=True) if value is not None]
    if not points:
        raise ResultsError(f"{runs}: no run of {of} has {name}")
    lacking = [run_id(record) for record, value in zip(chosen, values, strict=True) if value is None]
    left_out = [*group.left_out, *(f"{run} is left out: it has no {name}." for run in lacking)]
    changes = change_points([point.value for point in points])
    return History(name, wanted.unit, of, tuple(points), tuple(changes), tuple(left_out))


def relative(change: Change) -> float | None:
    """Return how far a change went, 0.2 for 20 % more; None where there is no such number."""
    if change.before <= 0 or math.isinf(change.before) or math.isinf(change.after):
        return None
    return change.after / change.before - 1


def _of_profile(runs: Sequence[RunRecord], profile: str | None, path: Path) -> tuple[list[RunRecord], str]:
    names = sorted({_profile(record) for record in runs})
    if profile is None and len(names) > 1:
        raise UsageError(f"{path} holds runs of several profiles, name one with --profile: {', '.join(names)}")
    wanted = profile or (names[0] if names else "")
    chosen = [record for record in runs if _profile(record) == wanted]
    if not chosen:
        known = f"; there are {', '.join(names)}" if names else ""
        raise ResultsError(f"{path}: no run of a profile {wanted!r}{known}" if wanted else f"{path}: no run to show")
    return chosen, wanted


def _profile(record: RunRecord) -> str:
    return str(section(record.run, "profile").get("name") or "unknown")


def _point(record: RunRecord, value: float) -> Point:
    version = section(record.run, "target").get("version")
    return Point(run_id(record), str(record.run.get("started_at") or ""), str(version or ""), value)
