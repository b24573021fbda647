from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from loadtest.report.data import ReportData, load
from loadtest.report.html import render, write_html

from .synthetic import make_intervals, make_marks

VOID = {"br", "wbr", "hr", "meta", "col", "path", "circle", "rect", "link", "img", "input"}
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&\x1b[31m<!--"
SIX_MB = 6_000_000


class Page(HTMLParser):
    """Collects what a browser would see: elements with attributes, text outside scripts, and the scripts."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.scripts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(source)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "script":
            self.scripts.append((dict(attrs).get("type") or "text/javascript", ""))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] == ["script"]:
            kind, text = self.scripts[-1]
            self.scripts[-1] = (kind, text + data)
        elif self._open[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    @property
    def figures(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(next(text for kind, text in self.scripts if kind == "application/json"))
        return found


def test_page_is_whole_and_tells_the_run(data: ReportData) -> None:
    page = Page(render(data))
    for words in (
        "Pass",
        "5,000 clients held; deploy at 32.1 s",
        "fanout.latency.p99 < 250ms",
        "99.9 % back after deploy",
    ):
        assert words in page.text
    for words in ("refused", "1,600", "dropped and recovered", "Trust: with care.", "bifrost-1", 'duration = "100s"'):
        assert words in page.text
    assert set(page.figures) == {"states", "attempts", "fanout", "generator", "recovery-0"}


def test_every_figure_has_its_place_and_a_label(data: ReportData) -> None:
    page = Page(render(data))
    places = {attributes.get("id"): attributes for _, attributes in page.elements}
    for key in page.figures:
        assert places[f"chart-{key}"]["role"] == "img"
        assert places[f"chart-{key}"]["aria-label"]


def test_headings_descend_without_gaps(data: ReportData) -> None:
    levels = [int(tag[1]) for tag, _ in Page(render(data)).elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_page_asks_the_network_for_nothing(data: ReportData) -> None:
    page = Page(render(data))
    for tag, attributes in page.elements:
        assert not {"src", "href", "srcset", "action", "data"} & set(attributes), tag
    policy = next(a["content"] for t, a in page.elements if t == "meta" and a.get("http-equiv"))
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "connect-src" not in policy
    assert "://" not in policy


def test_policy_allows_exactly_the_scripts_of_the_page(data: ReportData) -> None:
    page = Page(render(data))
    policy = next(a["content"] for t, a in page.elements if t == "meta" and a.get("http-equiv"))
    assert policy is not None
    hashes = set(re.findall(r"'sha256-([^']+)'", policy))
    run = [text for kind, text in page.scripts if kind == "text/javascript"]
    assert {base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in run} == hashes
    assert len(run) == 2


def _hostile(value: Any) -> Any:
    """Return `value` with every string in it replaced by hostile text, keys of figures kept."""
    if isinstance(value, dict):
        return {key: _hostile(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_hostile(inner) for inner in value]
    return HOSTILE if isinstance(value, str) else value


def test_hostile_text_stays_text(data: ReportData) -> None:
    run = _hostile(data.run)
    run["connections"]["failures"] = {HOSTILE: 5}
    run["fanout"]["by_class"] = {HOSTILE: {"expected": 1, "delivered": 1}}
    run["reasons"] = [HOSTILE]
    hostile = replace(
        data,
        run=run,
        marks=[{"t_s": 0.0, "mark": HOSTILE, "kind": "phase"}, {"t_s": 50.0, "mark": "<b>x", "kind": HOSTILE}],
        curves={HOSTILE: data.curves["deploy"]},
        profile_text=HOSTILE,
        warnings=[HOSTILE],
    )
    page = Page(render(hostile))
    calm = Page(render(replace(data, warnings=["w"])))
    assert {tag for tag, _ in page.elements} == {tag for tag, _ in calm.elements}
    assert [kind for kind, _ in page.scripts] == [kind for kind, _ in calm.scripts]
    assert not [a for _, attributes in page.elements for a in attributes if a.startswith("on")]
    assert "recovery-0" in page.figures
    notes = [note["text"] for figure in page.figures.values() for note in figure["layout"].get("annotations", [])]
    assert any("&lt;" in note for note in notes)
    assert not [note for note in notes if re.search(r"<(?!/?b>)", note) or note.count("<b>") > 1]


def test_size_stays_under_six_megabytes(data: ReportData, tmp_path: Path) -> None:
    write_html(data, tmp_path / "report.html")
    assert (tmp_path / "report.html").stat().st_size < SIX_MB


def test_eight_hours_stay_under_six_megabytes_and_keep_the_storm(data: ReportData) -> None:
    hours = replace(data, intervals=make_intervals(end_s=28_800), marks=make_marks(28_800))
    source = render(hours)
    assert len(source.encode()) < SIX_MB
    figures = Page(source).figures
    for figure in figures.values():
        assert all(len(trace["x"]) <= 2000 for trace in figure["traces"])
    attempts = next(t for t in figures["attempts"]["traces"] if t["name"] == "attempts")
    assert max(attempts["y"]) == max(line["attempts"] for line in hours.intervals)
    assert figures["states"]["layout"]["xaxis"]["title"]["text"] == "hours since the start"


def test_recovery_that_never_came_is_said_in_words(data: ReportData, run: dict[str, Any]) -> None:
    recovery = run["events"][0]["recovery"]
    recovery["t_sub_s"] |= {"99": None, "99.9": None, "100": None}
    recovery |= {"t_svc_s": None, "t_rec_s": None}
    run |= {"verdict": "fail", "reasons": ["events.deploy.t_sub.99.9 < 60s: not recovered."]}
    run["thresholds"][1] |= {"value": None, "verdict": "FAIL"}
    page = Page(render(replace(data, run=run)))
    assert "the rest not recovered when the run ended" in page.text
    assert page.text.count("not recovered") >= 8
    assert "fails" in page.text
    assert [note["text"][:8] for note in page.figures["recovery-0"]["layout"]["annotations"]] == [
        "<b>50 %<",
        "<b>90 %<",
    ]


@pytest.mark.parametrize(
    ("verdict", "word"),
    [("pass", "Pass"), ("fail", "Fail"), ("invalid", "Invalid"), ("interrupted", "Interrupted"), ("odd", "odd")],
)
def test_each_verdict_has_its_word(data: ReportData, run: dict[str, Any], verdict: str, word: str) -> None:
    page = Page(render(replace(data, run=run | {"verdict": verdict})))
    assert word in page.words


def test_publishes_that_never_left_are_said(data: ReportData, run: dict[str, Any]) -> None:
    assert "did not go out" not in Page(render(data)).text
    run["fanout"] |= {"unsent": 3, "publish_failures": {"ack timeout": 12, "none": 0}}
    said = "Scheduled publishes that did not go out or failed: 3 never sent, 12 ack timeout."
    assert said in Page(render(replace(data, run=run))).text


def test_run_without_events_says_nothing_was_dropped(data: ReportData, run: dict[str, Any]) -> None:
    page = Page(render(replace(data, run=run | {"events": []}, curves={})))
    assert "Nothing was dropped" in page.text


def test_empty_run_renders_without_figures() -> None:
    page = Page(render(ReportData(run={})))
    assert "Nothing was measured." in page.text
    assert page.scripts == []


def test_interrupted_folder_renders_with_its_warnings(
    data: ReportData, folder_of: Callable[[ReportData], Path]
) -> None:
    folder = folder_of(data)
    (folder / "run.json").unlink()
    (folder / "curves.json").unlink()
    with (folder / "intervals.jsonl").open("a") as log:
        log.write('{"t_s": 115.0, "pha')
    page = Page(render(load(folder)))
    assert "Interrupted" in page.text
    assert "cut off" in page.text
    assert "states" in page.figures


def test_folder_and_memory_render_the_same(data: ReportData, folder_of: Callable[[ReportData], Path]) -> None:
    assert render(load(folder_of(data))) == render(data)


def test_values_that_are_no_figures_do_not_break_the_page(data: ReportData) -> None:
    odd = [{"t_s": 1.0, "phase": None, "connections": [], "failures": "many", "fanout": {"p50_ms": "fast"}}] * 3
    run = {"events": [{"name": None, "recovery": 5}], "thresholds": [{}], "connections": {"failures": []}}
    assert Page(render(replace(data, run=run, intervals=odd, curves={"": []}))).figures
