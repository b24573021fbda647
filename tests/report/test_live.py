from __future__ import annotations

import io

import pytest
from rich.console import Console

from loadtest.report.live import LiveView
from loadtest.report.live_panels import spark

from .synthetic import make_intervals, make_marks

PLAN = {"ramp": 5.0, "warmup": 3.0, "hold": 100.0, "drain": 6.0}


def draw(seconds: int, width: int, height: int, title: str = "deploy-storm") -> list[str]:
    """Feed a view `seconds` lines and return what it shows as lines of text."""
    view = LiveView(Console(file=io.StringIO()), title=title, target="bifrost-1", planned_s=PLAN)
    marks = make_marks()
    for line in make_intervals()[:seconds]:
        while marks and marks[0]["t_s"] <= line["t_s"]:
            view.mark(marks.pop(0))
        view.feed(line)
    return shown(view, width, height)


def shown(view: LiveView, width: int, height: int) -> list[str]:
    """Return the lines that `view` draws on a console of that size."""
    screen = io.StringIO()
    Console(file=screen, width=width, height=height, color_system=None).print(view, end="")
    return screen.getvalue().rstrip("\n").split("\n")


@pytest.mark.parametrize(("width", "height"), [(80, 24), (140, 24), (140, 50), (60, 20), (20, 8)])
@pytest.mark.parametrize("seconds", [0, 1, 7, 34, 60, 114])
def test_view_never_exceeds_the_screen(seconds: int, width: int, height: int) -> None:
    lines = draw(seconds, width, height)
    assert len(lines) < height
    assert max(len(line) for line in lines) <= width


@pytest.mark.parametrize("width", [80, 140])
def test_view_after_a_deploy_shows_everything(width: int) -> None:
    text = "\n".join(draw(35, width, 24))
    for words in (
        "deploy-storm  bifrost-1",
        "0:35  3 workers",
        "0:27 of 1:40",
        "4,409 of 5,000 subscribed  88.2 %",
        "waiting 295",
        "354/s tried    248/s made",
        "refused 1,256",
        "p50  5.64 ms",
        "p99  31.9 ms",
        "100 % of 350,000 due; 0 lost",
        "late 0.38 ms  lag 4.02 ms  queue 0.62 ms  CPU 61 %",
        "88.2 % back, 2.9 s since 5,000 dropped",
        "32.1   deploy: all-at-once, 2 nodes",
        "34.0   deploy complete: 2 nodes replaced in 1.2 s",
    ):
        assert words in text


def test_wide_view_puts_the_log_beside_the_figures() -> None:
    lines = draw(35, 140, 24)
    assert any("Failures" in line and "begins" in line for line in lines)
    assert len(lines) < len(draw(35, 80, 24))


def test_view_before_the_first_line_waits() -> None:
    assert "for the first figures" in "\n".join(draw(0, 80, 24))


def test_hostile_text_cannot_steer_the_terminal() -> None:
    view = LiveView(Console(file=io.StringIO()), title="\x1b[2J[bold red]evil[/]", target="\x1b]0;x\x07")
    line = make_intervals()[0] | {"log": ["a\x1b[2Jb\r\nc [link=http://x]y[/link]"], "failures": {"\x1b[31m": 2}}
    view.feed(line)
    view.mark({"t_s": 1.0, "mark": "\x1b[H", "kind": "deploy", "text": "\x07"})
    text = "\n".join(shown(view, 100, 30))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[bold red]evil[/]" in text
    assert "b c [link=http://x]y[/link]" in text


def test_reasons_invented_by_a_peer_do_not_grow_the_view() -> None:
    view = LiveView(Console(file=io.StringIO()), title="t")
    for number in range(500):
        view.feed({"t_s": float(number), "phase": "ramp", "failures": {f"reason {number}": 1}})
    assert "other 460" in "\n".join(shown(view, 120, 24))


def test_spark_scales_to_the_highest_and_leaves_gaps() -> None:
    assert spark([0.0, None, 7.0, 3.5], 10) == "▁ █▅"
    assert spark([1.0, 2.0, 4.0], 2) == "▅█"
    assert spark([0.0, 0.0], 5) == "▁▁"
    assert spark([1.0], 0) == ""


def test_view_as_context_leaves_the_console_usable() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80, height=24)
    with LiveView(console, title="deploy-storm") as view:
        view.feed(make_intervals()[0])
    console.print("after")
    assert screen.getvalue().rstrip().endswith("after")
