"""Workers that join a run by hand: mixed with the run's own, too late, gone in the middle, never there."""

from __future__ import annotations

import signal
import socket

import pytest

from loadtest.results.schema import validate

from .topics import TOPICS

pytestmark = pytest.mark.e2e

PROFILE = (
    """
name = "joined"
duration = "{duration}"
thresholds = ["delivery.throughout.loss == 0"]

[target]
dialect = "websocket"
url = "{url}/feed"

[population]
connections = 120
herd_size = 10

[[population.channels]]
name = "topic-{{n}}"
count = 3

[ramp]
rate = "200/s"
"""
    + TOPICS
)


def test_one_that_leaves_is_lost_and_one_that_is_late_is_refused(loadtest_run, websocket_target, join, port) -> None:
    profile = PROFILE.format(url=websocket_target.url, rate=20, duration="8s")
    expected = ["--workers", "1", "--expect-workers", "2", "--expect-publishers", "1"]
    run = loadtest_run(profile, *expected, "--bind", f"127.0.0.1:{port}")
    stays, leaves = join("--processes", "1"), join("--processes", "1")
    publisher = join("--role", "publisher")
    run.until_said("mark=hold")
    assert list(run.workers()) == ["herd-1"]
    assert websocket_target.count()["topics"] == {f"topic-{number}": 40 for number in range(3)}
    late = join("--processes", "1")
    said, _ = late.communicate(timeout=20)
    assert late.returncode == 2, said
    assert "the run has begun without it" in said
    leaves.send_signal(signal.SIGTERM)
    leaves.communicate(timeout=20)
    assert leaves.returncode == 130
    run.until(lambda: "was lost" in run.said, 5)  # it said goodbye: nobody waits for 30 heartbeats
    assert run.wait(40) == 3, run.said
    result = run.result
    assert validate(result) == []
    assert result["verdict"] == "invalid"
    assert result["generator"]["workers_lost"] == 1
    assert result["connections"]["at_end"] == 80, "the others keep theirs, and nobody gets the lost ones"
    assert [process.wait(20) for process in (stays, publisher)] == [0, 0]
    assert "warning" not in run.said, "loopback is nobody's business"


def test_workers_that_never_come_are_said(loadtest_run, websocket_target, join, port) -> None:
    profile = PROFILE.format(url=websocket_target.url, rate=20, duration="2s")
    wanted = ["--workers", "0", "--expect-workers", "2", "--expect-publishers", "1", "--expect-timeout", "4s"]
    run = loadtest_run(profile, *wanted, "--bind", f"127.0.0.1:{port}")
    only = join("--processes", "1")
    assert run.wait(40) == 3, run.said
    assert "1 of 2 workers and 1 of 1 publishers did not come within 4 s" in run.said
    assert only.wait(20) == 0, "the run is over"


def test_workers_short_of_files_are_refused_with_their_host(loadtest_run, websocket_target, join, port) -> None:
    profile = PROFILE.format(url=websocket_target.url, rate=20, duration="2s")
    expecting = ["--workers", "0", "--expect-workers", "1", "--bind", f"127.0.0.1:{port}"]
    run = loadtest_run(profile, *expecting, "--set", "population.herd_size=120")
    worker = join("--processes", "1", files=100)
    assert run.wait(40) == 2, run.said
    assert f"134 needed, fewer there on {socket.gethostname()} (100); more workers" in run.said
    worker.wait(20)


def test_a_worker_short_of_files_has_tables_for_whole_herds(loadtest_run, websocket_target, join, port) -> None:
    profile = PROFILE.format(url=websocket_target.url, rate=20, duration="2s")
    run = loadtest_run(profile, "--workers", "0", "--expect-workers", "1", "--bind", f"127.0.0.1:{port}")
    join("--processes", "1", files=100)
    assert run.wait(40) == 0, run.said
    assert run.result["connections"]["at_end"] == 120
    assert run.result["fanout"]["by_class"]["throughout"]["lost"] == 0


def test_nobody_to_hold_the_connections_is_refused(loadtest_run) -> None:
    run = loadtest_run("smoke", "--workers", "0")
    assert run.wait(20) == 2
    assert "--expect-workers" in run.said


def test_a_reference_stack_cannot_be_reached_from_elsewhere(loadtest_run, port) -> None:
    run = loadtest_run("smoke", "--expect-workers", "1", "--bind", f"0.0.0.0:{port}")
    assert run.wait(20) == 2
    assert "reference-gateway up --host" in run.said
