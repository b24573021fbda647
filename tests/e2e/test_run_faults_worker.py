"""A worker stands still, is killed on another machine, is started by Locust itself: its herd stays its own."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

import loadtest
from loadtest.results.reader import open_run
from loadtest.results.schema import validate

from .topics import TOPICS

pytestmark = pytest.mark.e2e

PROFILE = (
    """
name = "faults"
duration = "{duration}"
thresholds = ["delivery.duplicated == 0"]

[target]
dialect = "websocket"
url = "{url}/feed"

[population]
connections = 200
herd_size = 20

[[population.channels]]
name = "topic-{{n}}"
count = 4

[ramp]
rate = "400/s"
"""
    + TOPICS
)


def invalid(run, *words: str) -> dict:
    """Wait for the end: whatever the fault was, the verdict is "invalid" for a reason with these words in it."""
    assert run.wait(60) == 3, run.said
    result = run.result
    assert validate(result) == []
    assert open_run(run.folder).warnings == ()
    assert result["verdict"] == "invalid"
    for word in words:
        assert any(word in reason for reason in result["reasons"]), result["reasons"]
    fanout = result["fanout"]
    assert fanout["imbalance"] == fanout["duplicated"] == 0, "a delivery is counted once, however late"
    assert fanout["delivered"] + fanout["lost"] == fanout["expected"]
    return result


def test_a_worker_that_stands_still_keeps_its_herd_or_is_lost_with_it(loadtest_run, websocket_target) -> None:
    """Two runs side by side: one is patient with a worker that is stopped for 20 s, the other for 3 s only."""
    url = websocket_target.url
    patient = loadtest_run(PROFILE.format(url=url, rate=20, duration="24s"), "--workers", "2")
    strict = loadtest_run(
        PROFILE.format(url=url, rate=20, duration="16s"), "--workers", "2", "--lost-after", "3s", name="strict"
    )
    for run in (patient, strict):
        run.until_said("mark=hold")
        run.until_said("delivered=")
        os.kill(run.workers()["herd-2"], signal.SIGSTOP)
    stopped = time.monotonic()
    strict.until_said("was lost: its heartbeat stopped", 12)
    assert "subscribed=100/200" in strict.said or strict.until(lambda: "subscribed=100/200" in strict.said)
    os.kill(strict.workers()["herd-2"], signal.SIGCONT)
    patient.until_said("has said nothing for 5 s: its figures stand still", 10)
    assert websocket_target.count()["topics"] == {f"topic-{number}": 100 for number in range(4)}, (
        "nothing is dealt anew"
    )

    result = invalid(strict, "was lost: its heartbeat stopped", "1 worker was lost")
    assert result["generator"]["workers_lost"] == 1
    assert result["connections"]["at_end"] == 100, "once lost, always lost"
    assert result["connections"]["attempts"] == 200

    time.sleep(max(0.0, 20 - (time.monotonic() - stopped)))
    os.kill(patient.workers()["herd-2"], signal.SIGCONT)
    patient.until_said("speaks again, 2", 5)
    result = invalid(patient, "stood still for 2")
    assert result["generator"]["workers_lost"] == 0
    assert max(worker["stood_s"] for worker in result["generator"]["workers"]) >= 20
    connections = result["connections"]
    assert connections["attempts"] == connections["at_end"] == 200, "its herd never left"
    assert result["events"] == []


def test_a_plain_locust_worker_joins_and_a_killed_machine_is_lost(loadtest_run, websocket_target, join, port) -> None:
    profile = PROFILE.format(url=websocket_target.url, rate=20, duration="9s")
    expected = ["--workers", "0", "--expect-workers", "2", "--bind", f"127.0.0.1:{port}", "--lost-after", "3s"]
    run = loadtest_run(profile, *expected)
    run.until_said("log=")
    stranger = join("--loadtest-profile", "smoke", locustfile=str(Path(loadtest.__file__).with_name("locustfile.py")))
    said, _ = stranger.communicate(timeout=30)
    assert stranger.returncode == 2, said
    assert "its Population has another profile than the run's; leave --loadtest-profile out" in said
    plain, machine = join(locustfile="-"), join("--processes", "1")
    run.until_said("mark=hold")
    assert websocket_target.count()["topics"] == {f"topic-{number}": 50 for number in range(4)}
    machine.kill()
    result = invalid(run, "was lost: its heartbeat stopped (on ")
    assert result["generator"]["workers_lost"] == 1
    assert result["connections"]["at_end"] == 100
    assert result["fanout"]["delivered"] > 1_000
    said, _ = plain.communicate(timeout=20)
    assert plain.returncode == 0, said
    assert "Traceback" not in said
