"""JUnit, Markdown, CSV and run.json for a pipeline: what they say, and what they never say."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import pytest

from loadtest.profile.redaction import safe
from loadtest.report.data import ReportData
from loadtest.report.facts import facts
from loadtest.report.interval_csv import COLUMNS, write_csv
from loadtest.report.junit import write_junit
from loadtest.report.markdown import write_markdown
from loadtest.report.openmetrics import of_run, write_openmetrics

SECRET = "hunter2"


def junit_of(run: dict[str, Any]) -> ElementTree.Element:
    text = io.StringIO()
    write_junit(run, text)
    (suite,) = ElementTree.fromstring(text.getvalue())
    return suite


def text_of(write: Callable[[dict[str, Any], Any], None], run: dict[str, Any]) -> str:
    text = io.StringIO()
    write(run, text)
    return text.getvalue()


def test_passed_run_has_a_passed_case_for_each_threshold(run: dict[str, Any]) -> None:
    suite = junit_of(run | {"tags": {"branch": "main"}})
    assert [case.get("name") for case in suite.iter("testcase")] == [
        "run",
        *(entry["expr"] for entry in run["thresholds"]),
    ]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("4", "0", "0")
    properties = {entry.get("name"): entry.get("value") for entry in suite.iter("property")}
    assert properties["tag_branch"] == "main"
    assert properties["profile"] == "deploy-storm"


@pytest.mark.parametrize("verdict", ["FAIL", "NO_DATA"])
def test_failed_threshold_and_one_without_data_fail_their_case(run: dict[str, Any], verdict: str) -> None:
    run["thresholds"][0] |= {"verdict": verdict, "value": 400.0 if verdict == "FAIL" else None}
    suite = junit_of(run | {"verdict": "fail", "reasons": ["x"]})
    assert (suite.get("failures"), suite.get("errors")) == ("1", "0")
    (failure,) = suite.iter("failure")
    assert failure.get("message") == (
        "fanout.latency.p99 < 250ms: measured " + ("400 ms" if verdict == "FAIL" else "no data")
    )


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"verdict": "invalid", "reasons": ["Lag."]}, "error"),
        ({"verdict": "interrupted", "reasons": ["Interrupted by SIGTERM."]}, "error"),
        ({"verdict": "fail", "unreachable": "nobody", "reasons": ["nobody"]}, "failure"),
        ({"verdict": "fail", "reasons": ["Only 3 of 9 came."]}, "failure"),
        ({"verdict": None, "reasons": []}, "error"),
    ],
)
def test_run_that_did_not_measure_the_target_is_no_pass(run: dict[str, Any], change: dict[str, Any], kind: str) -> None:
    suite = junit_of(run | change)
    (found,) = suite.iter(kind)
    assert found.get("message")
    assert {"failure": suite.get("failures"), "error": suite.get("errors")}[kind] == "1"


def test_text_that_xml_cannot_hold_is_made_visible(run: dict[str, Any]) -> None:
    suite = junit_of(run | {"verdict": "invalid", "reasons": ['a\x00b<c>&"\ud800']})
    (error,) = suite.iter("error")
    assert "<c>&" in (error.get("message") or "")


def test_markdown_tells_verdict_thresholds_and_tags(run: dict[str, Any]) -> None:
    text = text_of(write_markdown, run | {"tags": {"branch": "a|b"}})
    assert text.startswith("### ")
    assert "| fanout.latency.p99 \\< 250ms | 12.7 ms |" in text
    assert "branch = a\\|b" in text


def test_markdown_of_a_stranger_stays_text(run: dict[str, Any]) -> None:
    evil = "![x](https://e.example/?q=1) <img src=x> @team `code`"
    text = text_of(write_markdown, run | {"verdict": "fail", "reasons": [evil], "profile": {"name": evil}})
    assert re.search(r"(?<!\\)(!\[|\]\(|<img|@team|`c)", text) is None
    assert "https://" not in text


def test_csv_has_a_row_for_each_second_and_empty_cells_for_gaps(data: ReportData) -> None:
    text = io.StringIO()
    write_csv(data.intervals, text)
    rows = list(csv.DictReader(io.StringIO(text.getvalue(), newline="")))
    assert len(rows) == len(data.intervals)
    assert list(rows[0]) == [".".join(column) for column in COLUMNS]
    assert rows[0]["fanout.p50_ms"] == ""
    assert float(rows[50]["connections.subscribed"]) == data.intervals[50]["connections"]["subscribed"]
    stormy = next(at for at, line in enumerate(data.intervals) if line["failures"])
    assert float(rows[stormy]["failures"]) == data.intervals[stormy]["failures"]["refused"]


def test_csv_phase_is_a_word_and_no_formula() -> None:
    text = io.StringIO()
    write_csv([{"t_s": 1.0, "phase": "=cmd|' /C calc'!A0"}], text)
    assert "cmd" not in text.getvalue()


def with_secrets(run: dict[str, Any]) -> dict[str, Any]:
    url = f"wss://user:{SECRET}@host.example:8443/socket.io/?token={SECRET}&EIO=4"
    run["target"]["url"] = f"{url}, {url}"
    run["tags"] = {"branch": "main", "api_key": SECRET}
    run["unreachable"] = f"{url}: no client got through in 3 s (refused x 9)."
    run["reasons"] = [run["unreachable"]]
    return run


def test_no_output_holds_a_secret(run: dict[str, Any]) -> None:
    told = with_secrets(run)
    outputs = {
        "junit": text_of(write_junit, told),
        "markdown": text_of(write_markdown, told),
        "openmetrics": text_of(lambda given, text: write_openmetrics(of_run(given, {}), text), told),
        "json": json.dumps(safe(told)),
        "facts": json.dumps(facts(told)),
    }
    assert SECRET in json.dumps(told)
    assert {name for name, text in outputs.items() if SECRET in text} == set()
    assert "host.example" in outputs["junit"]
    assert json.loads(outputs["json"])["tags"] == {"branch": "main", "api_key": "***"}


def test_what_is_safe_changes_nothing_else(run: dict[str, Any]) -> None:
    assert safe(run) == run
