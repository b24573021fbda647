from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from loadtest.report.story import story
from loadtest.report.terminal import print_summary


def printed(run: dict[str, Any], width: int = 100, report: Path | None = None) -> str:
    """Return what the summary of `run` looks like on a terminal of that width."""
    screen = io.StringIO()
    print_summary(run, Console(file=screen, width=width, color_system=None), report)
    return screen.getvalue()


def test_summary_tells_verdict_story_figures_thresholds_and_path(run: dict[str, Any]) -> None:
    text = printed(run, report=Path("/runs/" + "x" * 120 + "/report.html"))
    assert text.strip().startswith("✓ Pass  Every threshold holds.")
    assert " ".join(story(run).split()) in " ".join(text.split())
    assert "fanout.latency.p99 < 250ms" in text
    assert "12.7 ms" in text
    assert "99.9 % back after deploy" in text
    assert "Report: /runs/" + "x" * 120 + "/report.html" in text


def test_summary_of_a_failure_gives_every_reason(run: dict[str, Any]) -> None:
    run |= {"verdict": "fail", "reasons": ["first thing", "second thing"]}
    run["thresholds"][0]["verdict"] = "NO_DATA"
    run["thresholds"][0]["value"] = None
    text = printed(run)
    assert "Fail  first thing" in text
    assert "second thing" in text
    assert "no data" in text


@pytest.mark.parametrize("run", [{}, {"verdict": "interrupted"}, {"events": [{}], "thresholds": [{}]}])
def test_summary_of_little_does_not_fail(run: dict[str, Any]) -> None:
    assert "not measured" in " ".join(printed(run, width=60).split())


def test_hostile_text_is_neither_markup_nor_control(run: dict[str, Any]) -> None:
    run["reasons"] = ["[bold]x[/bold] \x1b[2J"]
    run["events"][0]["name"] = "[red]\x07"
    run["thresholds"][0]["expr"] = "[link=http://x]\x1b"
    text = printed(run)
    assert "[bold]x[/bold]" in text
    assert "[link=http://x]" in text
    assert not {"\x1b", "\x07"} & set(text)
