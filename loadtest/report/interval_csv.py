"""A run's course as CSV: one row per second, one column per figure, for a spreadsheet or a data frame.

Columns are the keys of an interval line (`intervals.jsonl`), joined by dots; a figure that a second does not have is
empty, not 0. Nothing that a stranger wrote is in it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

from loadtest.report import wording as w

COLUMNS: tuple[tuple[str, ...], ...] = (
    ("t_s",),
    ("phase",),
    ("workers",),
    ("target",),
    *(("connections", key) for key in ("idle", "waiting", "connecting", "opening", "subscribing", "subscribed")),
    *((key,) for key in ("attempts", "connected", "subscribed", "drops", "failures")),
    *(("connect_ms", key) for key in ("count", "p50", "p90", "p99", "max")),
    *(("fanout", key) for key in ("published", "delivered", "p50_ms", "p90_ms", "p99_ms", "max_ms")),
    *(("delivery", key) for key in ("expected", "delivered", "lost", "duplicated", "reordered")),
    *(("generator", key) for key in ("lateness_p99_ms", "loop_lag_p99_ms", "cpu_max_percent", "rss_bytes")),
)
"""`failures` is their sum over all reasons."""


def write_csv(intervals: Iterable[Mapping[str, Any]], writer: TextIO) -> None:
    """Write the interval lines of a run, oldest first, after a row of names."""
    rows = csv.writer(writer, lineterminator="\r\n")
    rows.writerow([".".join(column) for column in COLUMNS])
    for line in intervals:
        rows.writerow([_cell(line, column) for column in COLUMNS])


def _cell(line: Mapping[str, Any], column: tuple[str, ...]) -> float | str:
    if column == ("failures",):
        return w.total(line, "failures")
    if column == ("phase",):
        phase = w.text(line, "phase")
        return phase if phase.isalnum() else ""
    value = w.number(line, *column)
    return "" if value is None else value
