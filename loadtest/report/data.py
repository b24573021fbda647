"""What a report is written from: the contents of one run folder, as plain JSON values.

Nothing here is trusted to be complete: a crashed run has no curves, an old one lacks keys. Writers read through
`wording.dig` and say what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from loadtest.report import wording as w
from loadtest.results.reader import open_run

Line = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Span:
    """One phase on the time axis, in seconds since the start of the run."""

    phase: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class ReportData:
    """One run, as its folder holds it.

    Attributes:
        run: run.json (schema loadtest.run/1), or what could be reconstructed of it.
        intervals: one line per second, ordered by `t_s`.
        marks: lines with a `mark` key: phases (kind "phase") and faults.
        curves: recovery curves by event name.
        manifest: what was known at the start.
        profile_text: the profile as run, TOML.
        warnings: sentences of the reader about the folder (a truncated log, for example).
    """

    run: Mapping[str, Any]
    intervals: Sequence[Line] = ()
    marks: Sequence[Line] = ()
    curves: Mapping[str, Any] = field(default_factory=dict)
    manifest: Mapping[str, Any] = field(default_factory=dict)
    profile_text: str = ""
    warnings: Sequence[str] = ()

    @property
    def name(self) -> str:
        """Name of the profile, or of the run when the profile is unknown."""
        return w.text(self.run, "profile", "name") or w.text(self.run, "run_id") or "run"

    @property
    def end_s(self) -> float:
        """Seconds since the start of the run at which the last interval ended; 0 without intervals."""
        return w.number(self.intervals[-1], "t_s") or 0.0 if self.intervals else 0.0

    def times_s(self) -> list[float]:
        """Return the time of every interval line."""
        return [w.number(line, "t_s") or 0.0 for line in self.intervals]

    def column(self, *keys: str) -> list[float | None]:
        """Return one figure of every interval line; None where a line does not have it."""
        return [w.number(line, *keys) for line in self.intervals]

    def phases(self) -> list[Span]:
        """Return the phases in order, from the marks, or from the interval lines where there are no such marks."""
        starts = [(w.text(m, "mark"), w.number(m, "t_s") or 0.0) for m in self.marks if w.text(m, "kind") == "phase"]
        if not starts:
            lines = [
                (w.text(line, "phase"), time_s) for line, time_s in zip(self.intervals, self.times_s(), strict=True)
            ]
            starts = [now for before, now in pairwise([("", 0.0), *lines]) if now[0] and before[0] != now[0]]
        if not starts:
            return []
        ends = [start_s for _, start_s in starts[1:]] + [max(self.end_s, starts[-1][1])]
        return [Span(phase, start_s, end_s) for (phase, start_s), end_s in zip(starts, ends, strict=True)]

    def faults(self) -> list[Line]:
        """Return the marks that are no phases."""
        return [mark for mark in self.marks if w.text(mark, "kind") != "phase"]


def load(folder: Path | str) -> ReportData:
    """Read a run folder, finished or crashed.

    Raises:
        ResultsError: it is no run folder, cannot be read, or is of another schema.
    """
    record = open_run(folder)
    return ReportData(
        run=record.run,
        intervals=record.intervals,
        marks=record.marks,
        curves=record.curves,
        manifest=record.manifest,
        profile_text=record.profile_text,
        warnings=record.warnings,
    )
