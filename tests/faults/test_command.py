"""A command is done when it exits with 0; out of time or interrupted, nothing of it stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from loadtest.faults.command import CommandFault
from loadtest.faults.fault import FaultFailedError
from loadtest.profile.faults import CommandFault as Settings

pytestmark = pytest.mark.e2e


def command(line: str, timeout: str = "10s") -> CommandFault:
    return CommandFault(Settings.model_validate({"kind": "command", "command": line, "timeout": timeout}))


def gone(pid: int, within_s: float = 5.0) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.01)
    return False


def test_apply_runs_in_a_shell_with_the_variables_of_the_run(context, tmp_path: Path) -> None:
    context.variables = {"run": "0badcafe"}
    command(f"echo $LOADTEST_RUN > {tmp_path}/seen && echo restarted").apply(context)
    assert (tmp_path / "seen").read_text() == "0badcafe\n"
    assert context.lines == ["command: command done: restarted"]


def test_apply_fails_with_the_last_lines_of_the_command(context) -> None:
    with pytest.raises(FaultFailedError) as caught:
        command("seq 1 1000; echo 'no such unit' >&2; exit 4").apply(context)
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("fault command: command ended with status 4: seq")
    assert lines[-1].strip() == "no such unit"
    assert len(lines) == 11


def test_apply_fails_without_output(context) -> None:
    with pytest.raises(FaultFailedError, match=r"status 1: false \(it printed nothing\)"):
        command("false").apply(context)


def test_apply_out_of_time_ends_the_whole_group_even_if_it_is_deaf(context, tmp_path: Path) -> None:
    line = f"trap '' TERM; sleep 60 & echo $! > {tmp_path}/pid; while :; do sleep 0.05; done"
    began = time.monotonic()
    with pytest.raises(FaultFailedError, match=r"not done after 0.3 s and ended: trap"):
        command(line, timeout="300ms").apply(context)
    assert time.monotonic() - began < 5
    assert gone(int((tmp_path / "pid").read_text()))


def test_apply_leaves_alone_what_the_command_put_into_the_background(context, tmp_path: Path) -> None:
    command(f"sleep 60 & echo $! > {tmp_path}/pid").apply(context)
    pid = int((tmp_path / "pid").read_text())
    os.kill(pid, signal.SIGTERM)  # raises if it was not there
    assert gone(pid)


def test_apply_interrupted_in_its_greenlet_ends_the_command(tmp_path: Path) -> None:
    code = f"""
from gevent import monkey; monkey.patch_all()
import gevent, pathlib, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from conftest import Context
from test_command import command
pid = pathlib.Path({str(tmp_path / "pid")!r})
running = gevent.spawn(command(f"sleep 60 & echo $! > {{pid}}.new; mv {{pid}}.new {{pid}}; wait").apply, Context())
while not pid.exists():
    gevent.sleep(0.01)
running.kill()
print(pid.read_text().strip(), running.dead)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30)
    pid, dead = done.stdout.split()
    assert dead == "True", done.stderr
    assert gone(int(pid))


def test_killed_harness_takes_the_command_along_which_can_clean_up_and_not_what_it_had_left(tmp_path: Path) -> None:
    begun = f"echo $! $$ > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pids"
    trapping = f"trap 'echo back > {tmp_path}/taken; exit' TERM; sleep 60 & {begun}; wait"
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from conftest import Context
from test_command import command
command("sleep 60 & echo $! > {tmp_path}/left").apply(Context())
command("{trapping}").apply(Context())
"""
    with subprocess.Popen([sys.executable, "-c", code]) as harness:
        deadline = time.monotonic() + 20
        while not (tmp_path / "pids").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        harness.kill()
    asleep, shell = (tmp_path / "pids").read_text().split()
    assert gone(int(asleep))
    assert gone(int(shell)), "the shell takes back what was done, after its child is dead"
    assert (tmp_path / "taken").read_text() == "back\n"
    os.kill(int((tmp_path / "left").read_text()), signal.SIGTERM)  # raises if it was not there
