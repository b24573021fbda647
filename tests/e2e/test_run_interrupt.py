"""Ctrl-C, SIGTERM and kill -9 in every phase: everything goes down in time, and the folder holds what ran."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from loadtest.results.reader import open_run
from loadtest.results.schema import validate

from .conftest import MARK, marked_processes
from .topics import COLLECTIONS

pytestmark = pytest.mark.e2e

STACK = (
    """
name = "interrupted"
duration = "30s"
thresholds = ["events.deploy.t_sub.99 < 9s"]

[target]
stack = "reference"
version = "bifrost-1"
nodes = 2

[population]
connections = 60

[[population.channels]]
name = "collection-{n}"
count = 3
"""
    + COLLECTIONS.format(rate=20, deadline="1s")
    + """
[ramp]
rate = "60/s"

[phases]
warmup = "200ms"

[[faults]]
kind = "deploy"
strategy = "rolling"
drain_seconds = 5
after_steady = "1s"
"""
)
"""The deploy drains for 5 s per node, so that there is time to interrupt it."""


def interrupted(run, number: int) -> dict:
    """Send the signal, hold the end to its contract, return run.json."""
    began = time.monotonic()
    run.process.send_signal(number)
    assert run.wait(15) == 130, run.said
    assert time.monotonic() - began < 10, f"took {time.monotonic() - began:.1f} s"
    left = marked_processes(os.environ[MARK])
    assert not left, f"still running: {left}"
    assert "Traceback" not in run.said
    result = run.result
    assert validate(result) == []
    assert result["verdict"] == "interrupted"
    assert result["reasons"][0] == f"Interrupted by {signal.Signals(number).name}."
    assert result["finished_at"] is not None
    assert (run.folder / "report.html").exists()
    assert str(run.folder / "report.html") in run.said
    assert not (run.folder / "logs" / "stack.json").exists()
    return result


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_while_the_stack_starts(loadtest_run, number: int) -> None:
    run = loadtest_run(STACK)
    run.until(lambda: run.folders and (run.folder / "logs" / "stack.log").exists())
    result = interrupted(run, number)
    assert result["connections"]["attempts"] == 0
    assert result["connections"]["target"] == 60


def test_in_the_ramp(loadtest_run) -> None:
    run = loadtest_run(STACK, "--set", "ramp.rate=10/s")
    run.until_said("t=2.0 phase=ramp")
    result = interrupted(run, signal.SIGINT)
    assert 10 < result["connections"]["attempts"] < 60


def test_during_the_deploy(loadtest_run) -> None:
    run = loadtest_run(STACK)
    run.until_said("mark=deploy")
    run.until_said("event=deploy")
    result = interrupted(run, signal.SIGINT)
    assert [event["name"] for event in result["events"]] == ["deploy"]
    assert result["connections"]["peak"] == 60
    assert result["fanout"]["published"] > 0


@pytest.mark.parametrize(("mark", "number"), [("hold", signal.SIGTERM), ("drain", signal.SIGINT)])
def test_later(loadtest_run, mark: str, number: int) -> None:
    profile = STACK.partition("[[faults]]")[0].replace("events.deploy.t_sub.99 < 9s", "delivery.throughout.loss == 0")
    run = loadtest_run(profile, "--set", "duration=1s" if mark == "drain" else "duration=30s")
    run.until(lambda: run.said.count(f"phase={mark}") >= (3 if mark == "hold" else 1))
    result = interrupted(run, number)
    assert result["connections"]["at_end"] == result["connections"]["peak"] == 60
    assert result["fanout"]["delivered"] > 0
    assert result["generator"]["workers_lost"] == 0


def test_after_a_ramp_that_fell_short(loadtest_run, websocket_target, hostile_target) -> None:
    """Half of the clients never got in, which alone would be "fail": who interrupts has the last word."""
    urls = f'["{websocket_target.url}", "{hostile_target.url}/503"]'
    profile = (
        f'name = "short"\nduration = "30s"\n[target]\ndialect = "websocket"\nurl = {urls}\n'
        '[population]\nconnections = 10\n[ramp]\ntimeout = "1s"\n'
    )
    run = loadtest_run(profile)
    run.until_said("phase=hold")
    run.process.send_signal(signal.SIGINT)
    assert run.wait(10) == 130, run.said
    assert run.result["verdict"] == "interrupted"
    assert "Only 5 of 10 clients" in " ".join(run.result["reasons"])


def percentiles_are_told(folder: Path) -> None:
    """What the logs of a run in its hold phase told until it was killed: latencies of everything that happened."""
    record = open_run(folder)
    fanout, connections = record.run["fanout"], record.run["connections"]
    assert connections["connect_ms"]["count"] == connections["subscribe_ms"]["count"] == 60
    received = [line["fanout"]["delivered"] for line in record.intervals]
    assert sum(received[:-1]) <= fanout["latency_ms"]["count"] <= sum(received)
    assert fanout["uncorrected_ms"]["count"] == fanout["latency_ms"]["count"]
    assert 0 < fanout["ack_ms"]["count"] <= fanout["published"]
    told = (fanout["latency_ms"], fanout["uncorrected_ms"], fanout["ack_ms"], connections["connect_ms"])
    for latency_ms in (*told, connections["subscribe_ms"]):
        assert 0 < latency_ms["min"] <= latency_ms["p50"] <= latency_ms["p99"] <= latency_ms["max"]
    assert fanout["ttk_traced"] > 0
    assert 0 < fanout["ttk_ms"]["50"]["p50"] <= fanout["ttk_ms"]["99"]["p50"] <= fanout["ttk_ms"]["100"]["p99"]


def test_kill_9_takes_workers_and_stack_along_and_leaves_a_folder_to_read(loadtest_run, tmp_path) -> None:
    quiet = STACK.partition("[[faults]]")[0].replace("events.deploy.t_sub.99 < 9s", "delivery.loss == 0")
    run = loadtest_run(quiet)
    run.until_said("phase=hold")
    run.until(lambda: "Tag=fanout.ttk.100," in (run.folder / "histograms.hlog").read_text())
    assert len(marked_processes(os.environ[MARK])) > 6
    run.process.kill()
    assert run.process.wait(5) == -signal.SIGKILL
    deadline = time.monotonic() + 5
    while left := marked_processes(os.environ[MARK]):
        assert time.monotonic() < deadline, f"still running: {left}"
        time.sleep(0.05)
    assert not (run.folder / "run.json").exists()
    argv = [sys.executable, "-m", "loadtest.cli", "report", str(run.folder)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert "The run ended without a summary" in said
    assert "60 of 60" in said
    percentiles_are_told(run.folder)
    assert (run.folder / "report.html").stat().st_size > 100_000
