"""`loadtest run` as a pipeline uses it: every output written, live metrics while it runs, no secret in any of them."""

from __future__ import annotations

import csv
import json
import socket
import urllib.request
from pathlib import Path
from xml.etree import ElementTree

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from .topics import TOPICS

pytestmark = pytest.mark.e2e

SECRET = "hunter2"
PROFILE = """
name = "piped"
duration = "3s"
thresholds = ["delivery.loss == 0", "fanout.published < 5"]
[target]
dialect = "websocket"
url = "{url}/feed?token={secret}"
[population]
connections = 40
[[population.channels]]
name = "topic-{{n}}"
count = 2

[ramp]
rate = "200/s"
"""
OUTPUTS = ("junit", "markdown", "json", "csv", "openmetrics")


def samples(text: str) -> dict[str, float]:
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.labels
    }


def test_every_output_is_written_and_live_metrics_are_served(loadtest_run, websocket_target, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    flags = [word for name in OUTPUTS for word in (f"--{name}", str(tmp_path / f"out.{name}"))]
    profile = PROFILE.format(url=websocket_target.url, secret=SECRET) + TOPICS.format(rate=40)
    run = loadtest_run(
        profile, *flags, "--prometheus", str(port), "--tag", "branch=main", "--tag", f"password={SECRET}"
    )
    run.until_said("mark=hold")

    def live() -> dict[str, float] | None:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            found = samples(answer.read().decode())
        return found if found.get("loadtest_fanout_latency_seconds_count") else None

    assert run.until(live)["loadtest_connections_target"] == 40
    assert run.wait(30) == 1, run.said
    written = {name: (tmp_path / f"out.{name}").read_text() for name in OUTPUTS}
    assert {name for name, text in written.items() if SECRET in text} == set()
    (suite,) = ElementTree.fromstring(written["junit"])
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "0")
    assert "fanout.published \\< 5" in written["markdown"]
    assert json.loads(written["json"])["tags"] == {"branch": "main", "password": "***"}
    rows = list(csv.DictReader(written["csv"].splitlines()))
    assert max(float(row["connections.subscribed"]) for row in rows) == 40
    end = samples(written["openmetrics"])
    assert end["loadtest_fanout_latency_seconds_count"] == run.result["fanout"]["latency_ms"]["count"] > 500
    assert end["loadtest_deliveries_lost_total"] == 0


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--junit", "nowhere/out.xml"], "nowhere is no folder"),
        (["--csv", "."], "is a folder, name a file"),
        (["--headless", "--web"], "leave one out"),
        (["--prometheus", "99999"], '"99999" is not a port'),
    ],
)
def test_outputs_that_cannot_be_are_refused_before_the_run(loadtest_run, flags: list[str], said: str) -> None:
    run = loadtest_run("smoke", *flags)
    assert run.wait(20) == 2
    assert said in run.said
    assert run.folders == []


def test_run_that_does_not_come_about_is_a_failure_in_junit_too(loadtest_run, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{free.getsockname()[1]}"
    run = loadtest_run(
        PROFILE.format(url=url, secret=SECRET) + TOPICS.format(rate=40), "--junit", str(tmp_path / "out.xml")
    )
    assert run.wait(20) == 4, run.said
    text = (tmp_path / "out.xml").read_text()
    (suite,) = ElementTree.fromstring(text)
    assert (suite.get("tests"), suite.get("failures")) == ("1", "1")
    assert SECRET not in text
