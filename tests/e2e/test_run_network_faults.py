"""Faults of the network in whole runs: through a relay of several processes, seen in latencies, drops and the end."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from .topics import RELAYED

pytestmark = pytest.mark.e2e

FAULTS = """
[[faults]]
kind = "network-delay"
delay = "300ms"
direction = "down"
share = "50%"
after_steady = "500ms"
duration = "1s"

[[faults]]
kind = "network-cut"
share = "50%"
after_steady = "2s"
duration = "500ms"
"""


def test_what_the_relay_does_is_what_the_clients_see(loadtest_run, websocket_target) -> None:
    run = loadtest_run(RELAYED.format(url=websocket_target.url, rate=40, duration="4s") + FAULTS)
    assert run.wait(60) == 0, run.said
    result = run.result
    assert result["reasons"] == []
    delay, cut = result["events"]
    assert 15 <= delay["fault"]["connections"] <= 45
    assert 15 <= cut["fault"]["connections"] <= 45
    assert cut["dropped"] == cut["fault"]["connections"]
    assert 0.2 < result["fanout"]["latency_ms"]["max"] / 1000 < 1.0, "late by 300 ms, none by much more"
    assert result["fanout"]["latency_ms"]["p50"] < 200
    assert cut["recovery"]["t_conn_s"]["100"] is not None
    relay = result["relay"]
    assert relay["processes"] == 2
    assert relay["accepted"] >= 60 + cut["dropped"]
    assert relay["down_bytes"] > result["fanout"]["delivered"] * 50
    assert result["connections"]["at_end"] == 60


def test_a_relay_that_dies_makes_the_run_invalid(loadtest_run, websocket_target) -> None:
    run = loadtest_run(RELAYED.format(url=websocket_target.url, rate=20, duration="60s"))
    run.until_said("mark=hold", 30)
    os.kill(relay_pids(run.process.pid)[0], signal.SIGKILL)
    assert run.wait(30) == 3, run.said
    assert any("A relay ended during the run: relay-" in reason for reason in run.result["reasons"])


def relay_pids(parent: int) -> list[int]:
    """Return the relays among a process's children."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(pid) for pid in children if b"loadtest.relay" in Path(f"/proc/{pid}/cmdline").read_bytes()]
