"""The real reference stack as a child of a run: deployed by the fault, gone with its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from loadtest.faults.fault import Control
from loadtest.faults.registry import build_faults
from loadtest.launch.probe import probe_all
from loadtest.launch.stack import ReferenceStack
from loadtest.profile.faults import DeployFault

pytestmark = pytest.mark.e2e


class Context:
    """A conductor for one fault."""

    def __init__(self, control: Control) -> None:
        self.control = control
        self.variables: dict[str, str] = {}
        self.lines: list[str] = []

    def drop(self, share: float, how: str) -> None:
        raise AssertionError("a deploy drops nothing itself")

    def log(self, text: str) -> None:
        self.lines.append(text)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("strategy", ["all-at-once", "rolling"])
def test_deploy_fault_replaces_the_gateways_of_a_real_stack(no_leftovers: None, tmp_path: Path, strategy: str) -> None:
    stack = ReferenceStack.start(version="bifrost-1", nodes=2, log_dir=tmp_path)
    try:
        ready = stack.wait_ready()
        context = Context(Control(ready.control_url, ready.control_token, ready.faults, ready.deploys))
        settings = DeployFault.model_validate({"kind": "deploy", "strategy": strategy})
        fault = build_faults([settings])["deploy"]
        assert fault.check(context) == []
        fault.apply(context)
        fault.undo(context)
        assert context.lines == [f"deploy: {strategy} deploy of 2 processes done"]
        gateways = [pid for _, kind, pid, _ in ready.parts if kind == "gateway" and pid]
        assert len(gateways) == 2
        assert not any(alive(pid) for pid in gateways)
        probe_all(ready.gateway_urls)
    finally:
        assert stack.stop().status == 0


def test_real_stack_dies_with_a_killed_parent(no_leftovers: None, tmp_path: Path) -> None:
    code = f"""
import sys, time
from pathlib import Path
from loadtest.launch.stack import ReferenceStack
stack = ReferenceStack.start(version="sync", nodes=1, log_dir=Path({str(tmp_path)!r}))
print(*(pid for _, _, pid, _ in stack.wait_ready().parts if pid), flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert len(pids) >= 3
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while (left := [pid for pid in pids if alive(pid)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == []
