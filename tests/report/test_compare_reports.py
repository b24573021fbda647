"""Terminal, Markdown and HTML of a comparison, from the same values."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from loadtest.compare.comparison import Comparison, compare
from loadtest.compare.group import Group, gather
from loadtest.report import compare_words as words
from loadtest.report.compare_html import write_comparison_html
from loadtest.report.compare_markdown import write_comparison_markdown
from loadtest.report.compare_terminal import print_comparison
from tests.compare.runs import around, make_group

from .synthetic import make_data, write_folder
from .test_html import HOSTILE, Page


@pytest.fixture
def comparison() -> Comparison:
    return compare([make_group("1.0", around(2.0)), make_group("1.1", around(2.5, seed=2))])


@pytest.fixture
def folders(tmp_path: Path) -> list[Group]:
    return [
        gather([write_folder(tmp_path / name / str(at), make_data(scale, name)).parent])
        for name, scale in (("sync", 2.7), ("bifrost-1", 1.0))
        for at in range(1)
    ]


def page_of(comparison: Comparison) -> str:
    text = io.StringIO()
    write_comparison_html(comparison, text)
    return text.getvalue()


def test_terminal_says_verdict_figures_and_what_was_the_same(comparison: Comparison) -> None:
    screen = io.StringIO()
    print_comparison(comparison, Console(file=screen, width=140, color_system=None))
    text = screen.getvalue()
    assert "1.1 is worse than 1.0: fanout.latency.p50, fanout.latency.p90, fanout.latency.p99." in text
    (row,) = [line for line in text.splitlines() if line.startswith(" fanout.latency.p50")]
    assert "large (+1.00)" in row
    assert row.rstrip().endswith("worse")
    assert "The same in every run: delivery.loss (0 %)" in text


def test_narrow_terminal_keeps_both_intervals(comparison: Comparison) -> None:
    screen = io.StringIO()
    print_comparison(comparison, Console(file=screen, width=80, color_system=None))
    assert max(map(len, screen.getvalue().splitlines())) <= 80
    assert "no difference" in screen.getvalue() or "worse" in screen.getvalue()


def test_change_and_difference_say_their_unit_once(comparison: Comparison) -> None:
    (one,) = comparison.versus
    p50 = one.findings[0]
    assert words.change(p50).startswith("+")
    assert words.change(p50).count("%") == 1
    assert words.gap(p50).count("ms") == 1


def test_markdown_is_a_table_and_escapes_names() -> None:
    text = io.StringIO()
    evil = compare([make_group("1.0", around(2.0)), make_group("|<b>@all](http://x)", around(2.5, seed=2))])
    write_comparison_markdown(evil, text)
    assert "| --- | --- |" in text.getvalue()
    assert "<b>" not in text.getvalue()
    assert "\\|\\<b\\>\\@all" in text.getvalue()
    assert "http://" not in text.getvalue()
    rows = [line for line in text.getvalue().splitlines() if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in rows}) == 1


def test_page_lays_curves_over_each_other_with_tables_beside(folders: list[Group]) -> None:
    text = page_of(compare(folders))
    page = Page(text)
    assert len(text.encode()) < 6_000_000
    assert {"recovery-0", "percentiles"} <= set(page.figures)
    traces = page.figures["recovery-0"]["traces"]
    assert [trace["name"] for trace in traces] == ["sync", "bifrost-1"]
    assert traces[0]["line"]["dash"] != traces[1]["line"]["dash"]
    assert "50 % back" in page.text
    assert "Cannot tell" in page.text


def test_page_draws_the_distribution_and_the_changes(comparison: Comparison, folders: list[Group]) -> None:
    page = Page(page_of(comparison))
    (trace,) = page.figures["changes-0"]["traces"]
    assert len(trace["y"]) == len(trace["error_x"]["array"])
    assert "distribution" not in page.figures  # these runs have no histograms
    assert min(trace["error_x"]["arrayminus"]) >= 0


def test_hostile_version_stays_text() -> None:
    def build(name: str) -> list[str]:
        page = Page(page_of(compare([make_group("calm", around(2.0)), make_group(name, around(2.5, seed=2))])))
        return [tag for tag, _ in page.elements]

    assert build(HOSTILE) == build("tame")


def test_many_runs_stay_under_six_megabytes(tmp_path: Path) -> None:
    base = write_folder(tmp_path / "run", make_data())
    one = gather([base]).runs[0]
    groups = [Group(name, (one,) * 40) for name in ("a", "b")]
    assert len(page_of(compare(groups)).encode()) < 6_000_000


def test_star_marks_intervals_of_single_runs(folders: list[Group]) -> None:
    (one,) = compare(folders).versus
    assert any("One run each" in remark for remark in words.remarks(one))
    assert words.change(one.findings[0]).endswith("*")


def test_an_interval_without_0_under_no_difference_is_explained(comparison: Comparison) -> None:
    (one,) = comparison.versus
    undecided = tuple(replace(finding, verdict="no difference") for finding in one.findings)
    said = " ".join(words.remarks(replace(one, findings=undecided)))
    assert "By themselves fanout.latency.p50, fanout.latency.p90, fanout.latency.p99 would differ" in said
    assert "By themselves" not in " ".join(words.remarks(one))
