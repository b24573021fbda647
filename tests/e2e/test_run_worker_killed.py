"""Somebody kills a part of the run: the rest goes on, the verdict says what was lost, the run ends by itself."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from loadtest.results.schema import validate

pytestmark = pytest.mark.e2e

PROFILE = """
name = "mourning"
duration = "5s"
thresholds = ["delivery.duplicated == 0"]

[target]
{target}

[population]
connections = 80
herd_size = 20

[[population.channels]]
name = "room-{{n}}"
count = 4

[subscribe]
event = "{subscribe}"
args = [{args}]

[publish]
rate = "20/s"
event = "{publish}"
args = [{message}]
marker = "1.{marker}"
deadline = "1s"

[ramp]
rate = "200/s"

[phases]
warmup = "200ms"
"""


@pytest.fixture
def foreign(socketio_target) -> str:
    return PROFILE.format(
        target=f'url = "{socketio_target.url}/socket.io/"',
        subscribe="enter-room",
        args='"{channel}"',
        publish="shout",
        message='{ to = "{channel}", body = "{marker}" }',
        marker="body",
    )


def invalid(run) -> dict:
    assert run.wait(40) == 3, run.said
    result = run.result
    assert validate(result) == []
    assert result["verdict"] == "invalid"
    assert result["generator"]["workers_lost"] == 1
    assert result["fanout"]["imbalance"] == 0
    assert (run.folder / "report.html").exists()
    return result


def test_a_herd_worker_or_the_publisher_is_killed_and_the_others_stay_up(loadtest_run, foreign) -> None:
    """Two runs side by side; each loses one worker and is served on."""
    bereft, silent = loadtest_run(foreign, "--workers", "2"), loadtest_run(foreign, "--workers", "1")
    for run, name in ((bereft, "herd-2"), (silent, "publisher-1")):
        run.until(lambda run=run: run.said.count("phase=hold") >= 2)
        os.kill(run.workers()[name], signal.SIGKILL)
    bereft.until_said("subscribed=40/80")

    result = invalid(bereft)
    assert any("herd-2" in reason and "SIGKILL" in reason for reason in result["reasons"]), result["reasons"]
    assert result["connections"]["peak"] == 80
    assert result["connections"]["at_end"] == 40
    assert result["fanout"]["delivered"] > 0
    assert result["events"] == [], "what we lost ourselves is no mass disconnect of the target"
    assert "herd-2" in bereft.said

    result = invalid(silent)
    assert any("publisher-1" in reason and "SIGKILL" in reason for reason in result["reasons"]), result["reasons"]
    assert result["connections"]["at_end"] == 80
    assert 0 < result["fanout"]["published"] < 100


def test_the_nursery_is_killed_and_all_workers_with_it(loadtest_run, foreign) -> None:
    run = loadtest_run(foreign, "--workers", "1", "--set", "duration=60s")
    run.until_said("phase=hold")
    stat = Path(f"/proc/{run.workers()['herd-1']}/stat").read_text()
    os.kill(int(stat.rpartition(")")[2].split()[1]), signal.SIGKILL)
    assert run.wait(20) == 3, run.said
    result = run.result
    assert validate(result) == []
    assert result["verdict"] == "invalid"
    assert result["generator"]["workers_lost"] == 2


def test_the_stack_under_test_dies(loadtest_run) -> None:
    profile = PROFILE.format(
        target='stack = "reference"\nversion = "bifrost-1"',
        subscribe="subscribe",
        args='{ collection = "{channel}" }',
        publish="edit",
        message='{ collection = "{channel}", parameter = "url", text = "{marker}" }',
        marker="text",
    )
    run = loadtest_run(profile, "--set", "duration=60s")
    run.until(lambda: run.said.count("phase=hold") >= 2)
    ready = json.loads((run.folder / "logs" / "stack.json").read_text())
    os.kill(ready["pid"], signal.SIGKILL)
    assert run.wait(20) == 1, run.said
    result = run.result
    assert validate(result) == []
    assert result["verdict"] == "fail"
    assert "stack" in result["reasons"][0]
    assert "SIGKILL" in result["reasons"][0]
    assert result["connections"]["peak"] == 80
