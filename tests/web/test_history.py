"""The course of a run stays small, and its worst second never vanishes."""

from __future__ import annotations

import json
import random
from typing import Any

from loadtest.web.history import COLUMNS, LIMIT, MARKS, History, merged, row_of


def line(t_s: float, **more: Any) -> dict[str, Any]:
    """Return an interval line with what the test cares for."""
    states = {"idle": 0, "waiting": 0, "connecting": 0, "opening": 0, "subscribing": 0, "subscribed": 100}
    return {
        "t_s": t_s,
        "phase": "hold",
        "workers": 2,
        "target": 100,
        "connections": states | more.pop("connections", {}),
        "attempts": 0,
        "connected": 0,
        "drops": 0,
        "failures": {},
        "connect_ms": {"count": 0, "p99": None},
        "fanout": {"published": 10, "delivered": 1000, "p50_ms": 1.0, "p90_ms": 2.0, "p99_ms": 3.0, "max_ms": 4.0},
        "delivery": {"expected": 1000, "delivered": 1000, "lost": 0, "duplicated": 0, "reordered": 0},
        "generator": {"lateness_p99_ms": 0.1, "loop_lag_p99_ms": 1.0, "cpu_max_percent": 10.0, "rss_bytes": 5},
        "events": [],
        "log": [],
    } | more


def cell(row: list[Any], name: str) -> Any:
    return row[COLUMNS.index(name)]


def test_a_line_becomes_a_row_and_what_it_lacks_is_none() -> None:
    row = row_of(line(3.0, failures={"refused": 2, "timeout": 1}))
    assert (cell(row, "t_s"), cell(row, "subscribed"), cell(row, "failed"), cell(row, "settled")) == (3.0, 100, 3, 1000)
    assert cell(row, "connect_p99_ms") is None
    assert cell(row_of({"t_s": 1.0}), "p99_ms") is None


def test_of_two_seconds_the_worse_one_speaks() -> None:
    good = row_of(line(1.0))
    bad = row_of(
        line(
            2.0,
            attempts=70,
            drops=60,
            connections={"subscribed": 40, "waiting": 60},
            fanout={"published": 1, "delivered": 10, "p99_ms": 900.0, "max_ms": None},
        )
    )
    for row in (merged(good, bad), merged(bad, good)):
        assert (cell(row, "subscribed"), cell(row, "waiting")) == (40, 60)
        assert (cell(row, "attempts"), cell(row, "p99_ms"), cell(row, "max_ms")) == (70, 900.0, 4.0)
        assert (cell(row, "delivered"), cell(row, "drops"), cell(row, "span_s")) == (1010, 60, 2)


def test_eight_hours_stay_small_and_keep_the_only_peak() -> None:
    history = History()
    for second in range(8 * 3600):
        peak = (
            {"fanout": {"published": 1, "delivered": 7, "p99_ms": 4321.0, "max_ms": 5000.0}} if second == 12_345 else {}
        )
        history.add(line(float(second + 1), **peak))
    columns = history.columns()
    assert len(history) <= LIMIT
    assert max(columns["p99_ms"]) == 4321.0
    assert sum(columns["span_s"]) == 8 * 3600
    assert sum(columns["delivered"]) == (8 * 3600 - 1) * 1000 + 7
    assert columns["t_s"] == sorted(columns["t_s"])
    assert columns["t_s"][-1] == 8 * 3600
    assert len(json.dumps(columns)) < 250_000


def test_any_course_keeps_sums_and_peaks() -> None:
    rng = random.Random(6)
    for seconds in (1, 7, 8, 9, 100, 257):
        history = History(limit=8)
        attempts = [rng.randrange(1000) for _ in range(seconds)]
        for second, count in enumerate(attempts):
            history.add(line(float(second), attempts=count, drops=count))
        columns = history.columns()
        assert len(history) <= 8
        assert (max(columns["attempts"]), sum(columns["drops"])) == (max(attempts), sum(attempts))
        assert sum(columns["span_s"]) == seconds


def test_marks_are_bounded_and_keep_the_first_and_the_latest() -> None:
    history = History()
    for number in range(3 * MARKS):
        history.mark({"t_s": number, "mark": f"m{number}", "kind": "drop", "text": ""})
    names = [mark["mark"] for mark in history.marks]
    assert len(names) == MARKS
    assert (names[0], names[-1]) == ("m0", f"m{3 * MARKS - 1}")
