from __future__ import annotations

from typing import Any

import pytest

from loadtest.report.blast import blast_figures, blast_rows, others
from loadtest.report.summary_sections import key_figures
from tests.report.synthetic import make_run


def event(radius: float | None = 0.1, degraded: float | None = 0.05, ratio: float | None = 1.02, **more: Any) -> Any:
    interval = more.pop("interval", {"low": 0.951, "high": 1.112})
    recovery = {"blast_radius": radius, "degraded": degraded, "others_p99_ratio": ratio}
    return {"name": "node", "recovery": {**recovery, "others": {"judged": 120, "p99_ratio_95": interval}, **more}}


def test_rows_say_who_was_hit_and_what_the_others_felt() -> None:
    told = {name: (value, meaning) for name, value, meaning in blast_rows(event())}
    assert told["Blast radius"][0] == "10 %"
    assert told["Degraded"] == (
        "5 %",
        "share of all clients that stayed, p99 above twice before; of 120 clients looked at",
    )
    assert told["The others' p99"][0] == "1.02 x (0.95 to 1.11)"


@pytest.mark.parametrize(
    ("ratio", "interval", "words"),
    [
        (None, None, "not measured"),
        (1.5, None, "1.5 x"),
        (1.5, {"low": 1.1, "high": None}, "1.5 x"),
        (None, {"low": 1.1, "high": 2.0}, "not measured"),
    ],
)
def test_interval_stands_only_beside_a_ratio(ratio: float | None, interval: Any, words: str) -> None:
    assert others(event(ratio=ratio, interval=interval)) == words


def test_what_could_not_be_known_is_said() -> None:
    told = dict(row[:2] for row in blast_rows(event(degraded=None, others={})))
    assert told["Degraded"] == "not measured"


def test_runs_from_before_the_figure_have_no_rows() -> None:
    assert blast_rows({"name": "node", "recovery": {}}) == blast_rows({}) == []


@pytest.mark.parametrize(("radius", "tiles"), [(None, 0), (0.0, 0), (0.1, 1), (1.0, 0)])
def test_key_figures_hold_it_when_a_part_was_hit(radius: float | None, tiles: int) -> None:
    assert len(blast_figures(event(radius))) == tiles
    run = make_run()
    before = len(key_figures(run))
    run["events"][0]["recovery"].update(event(radius)["recovery"])
    figures = key_figures(run)
    assert len(figures) == before + tiles
    if tiles:
        assert ("Blast radius of deploy", "10 %", "the others' p99 after / before 1.02 x (0.95 to 1.11)") in figures
