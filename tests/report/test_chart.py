from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from loadtest.report.chart import TimeAxis, Timeline, event_times, rows_by_phase
from loadtest.report.data import ReportData


def labelled(data: ReportData) -> list[dict[str, Any]]:
    """Return the annotations of events that a time chart of `data` carries."""
    notes = Timeline(data, {"attempts": data.column("attempts")}).layout("y")["annotations"]
    return [note for note in notes if note["text"].startswith("<b>")]


@pytest.mark.parametrize(
    ("end_s", "unit", "at_end"), [(120, "seconds", 120.0), (3600, "minutes", 60.0), (28_800, "hours", 8.0)]
)
def test_time_axis_suits_the_length(end_s: float, unit: str, at_end: float) -> None:
    axis = TimeAxis.covering(end_s)
    assert (axis.unit, axis.of([end_s])) == (unit, [at_end])


def test_deploy_is_marked_once_though_it_is_fault_and_event(data: ReportData) -> None:
    assert event_times(data) == [("deploy", 32.1)]
    assert [note["x"] for note in labelled(data)] == [32.1]


def test_a_fault_that_dropped_nobody_is_marked_too(data: ReportData, run: dict[str, Any]) -> None:
    quiet = replace(data, run=run | {"events": []})
    assert event_times(quiet) == [("deploy", 32.1)]


def test_labels_of_close_events_never_share_a_row(data: ReportData, run: dict[str, Any]) -> None:
    run["events"] = [{"name": f"drop {number}", "at_s": 30.0 + number} for number in range(9)]
    notes = labelled(replace(data, run=run, marks=[]))
    assert len({note["yshift"] for note in notes}) == len(notes) == 2


def test_rows_by_phase_count_each_second_once(data: ReportData) -> None:
    rows = rows_by_phase(data, (data.column("attempts"), "sum"), (data.column("attempts"), "max"))
    assert [row[0] for row in rows] == ["ramp", "warm-up", "hold", "drain"]
    assert rows[0] == ["ramp", "5 s", "5,000", "1,000"]
    whole = sum(int(row[2].replace(",", "")) for row in rows)
    assert whole == sum(line["attempts"] for line in data.intervals)


def test_phases_come_from_the_lines_where_no_marks_are(data: ReportData) -> None:
    spans = replace(data, marks=[]).phases()
    assert [span.phase for span in spans] == ["ramp", "warmup", "hold", "drain"]
    assert spans[-1].end_s == data.end_s
