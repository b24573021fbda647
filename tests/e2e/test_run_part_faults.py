"""Faults of the stack's parts in a run: what they cost, what they must not cost, what is refused before the start."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from .test_run_versions import STORM

pytestmark = pytest.mark.e2e

CALM = STORM.partition("[[faults]]")[0].replace('rate = "10/s"', 'rate = "50/s"').replace('"2s"', '"6s"')


def test_fault_of_a_part_that_the_version_lacks_is_refused_before_the_start(loadtest_run) -> None:
    run = loadtest_run(CALM + '[[faults]]\nkind = "failover"\n')
    assert run.wait(60) == 2
    assert 'fault failover: broker of this target cannot have "failover"; it can have kill' in run.said


def test_deploy_of_the_api_alone_drops_no_socket_and_loses_nothing(loadtest_run) -> None:
    run = loadtest_run(CALM + '[[faults]]\nkind = "deploy"\ntier = "api"\nafter_steady = "1s"\n')
    assert run.wait(60) == 0, run.said
    assert run.result["connections"]["drops"] == {}
    assert run.result["fanout"]["lost"] == run.result["fanout"]["duplicated"] == 0
    assert run.result["fanout"]["publish_failures"] == {}


def test_killed_harness_leaves_nobody_frozen(loadtest_run) -> None:
    run = loadtest_run(CALM + '[[faults]]\nkind = "freeze"\npart = "*"\nafter_steady = "500ms"\n')
    ready_file = run.until(lambda: run.folders and next(iter(run.folder.glob("logs/stack.json")), None))
    ready = run.until(lambda: json.loads(ready_file.read_text() or "null"))
    pids = [part["pid"] for part in ready["parts"] if part["pid"] and "freeze" in part.get("faults", ())]
    assert len(pids) == 5  # broker, collections, api, node, godserver
    run.until(lambda: all(state_of(pid) == "T" for pid in pids))
    run.process.kill()
    deadline_s = time.monotonic() + 8
    while left := [pid for pid in pids if state_of(pid) not in ("", "Z")]:
        assert time.monotonic() < deadline_s, left
        time.sleep(0.05)


def state_of(pid: int) -> str:
    """Return the state of a process as proc_pid_stat has it, "" when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return ""
