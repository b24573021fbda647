from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from loadtest.errors import UsageError
from loadtest.report.comparison import CAVEAT, faster, labels, render_comparison, versions_table, write_comparison

from .synthetic import make_data, make_run
from .test_html import HOSTILE, Page


def test_faster_names_the_run_that_was_back_sooner() -> None:
    runs = [make_run(2.7, "sync"), make_run(1.0, "bifrost-1")]
    assert faster(runs, "deploy") == (
        "bifrost-1 was back sooner: 99.9 % of its clients after 5.39 s, against 14.5 s for sync."
    )


def test_a_run_that_never_recovered_is_not_called_faster() -> None:
    runs = [make_run(1.0, "sync"), make_run(1.0, "bifrost-1")]
    runs[0]["events"][0]["recovery"]["t_sub_s"]["99.9"] = None
    assert faster(runs, "deploy") == (
        "Only bifrost-1 was back: 99.9 % of its clients after 5.39 s. sync: 99.9 % not recovered within the run."
    )


def test_equal_runs_are_called_equal() -> None:
    assert "at the same time" in faster([make_run(), make_run(1.0, "sync")], "deploy")


def test_page_overlays_both_curves_and_says_what_it_is_not(tmp_path: Path) -> None:
    path = tmp_path / "comparison.html"
    write_comparison([make_data(1.0, "bifrost-1"), make_data(2.7, "sync")], path)
    page = Page(path.read_text())
    assert path.stat().st_size < 6_000_000
    assert [trace["name"] for trace in page.figures["compared-0"]["traces"]] == ["bifrost-1", "sync"]
    dashes = [trace["line"]["dash"] for trace in page.figures["compared-0"]["traces"]]
    assert len(set(dashes)) == 2
    assert CAVEAT in page.text
    assert "against 14.5 s for sync" in page.text


def test_same_version_twice_gets_numbers() -> None:
    assert labels([make_run(), make_run(), make_run(1.0, "sync")]) == ["bifrost-1 (1)", "bifrost-1 (2)", "sync"]


def test_hostile_version_stays_text() -> None:
    page = Page(render_comparison([make_data(1.0, HOSTILE), make_data(1.0, "sync")]))
    calm = Page(render_comparison([make_data(1.0, "calm"), make_data(1.0, "sync")]))
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in calm.elements]


def test_runs_without_events_still_compare() -> None:
    datas = [make_data(), make_data(1.0, "sync")]
    for data in datas:
        assert isinstance(data.run, dict)
        data.run["events"] = []
    assert "None of these runs had an event" in Page(render_comparison(datas)).text


def test_one_run_is_no_comparison() -> None:
    with pytest.raises(UsageError, match="at least two runs"):
        render_comparison([make_data()])


def test_terminal_table_has_a_row_per_run() -> None:
    screen = io.StringIO()
    Console(file=screen, width=120, color_system=None).print(versions_table([make_run(), make_run(2.7, "sync")]))
    text = screen.getvalue()
    assert "bifrost-1" in text
    assert "14.5 s" in text
    assert CAVEAT in text
