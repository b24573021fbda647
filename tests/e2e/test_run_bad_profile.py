"""What is wrong is said before anything starts: all at once, with key and remedy, and no folder is made."""

from __future__ import annotations

import socket
import time

import pytest

pytestmark = pytest.mark.e2e

WRONG = """
name = "wrong"
duration = "5 parsecs"
thresholds = ["fanout.latency.p99 < 250 bananas"]

[target]
url = "http://127.0.0.1:1/"
flavour = "mild"

[population]
connections = 0
herd_sise = 5

[publish]
rate = "-3/s"

[ramp]
rate = "0/s"

[[faults]]
kind = "earthquake"
"""

PLAIN = """
name = "plain"
duration = "1s"
[target]
dialect = "websocket"
url = "{url}"
[population]
connections = {connections}
"""


def refused(run, seconds: float = 10) -> str:
    """Return what it said, once it has ended with 2 and left nothing."""
    began = time.monotonic()
    assert run.wait(seconds) == 2, run.said
    assert time.monotonic() - began < seconds
    assert run.folders == []
    assert "Traceback" not in run.said
    return run.said


def test_all_errors_of_a_profile_at_once(loadtest_run) -> None:
    said = refused(loadtest_run(WRONG, "--set", "subscribe.sauce=1"))
    for key, found in {
        "duration": "5 parsecs",
        "target.url": "http://127.0.0.1:1/",
        "target.flavour": "unknown key",
        "population.connections": "found 0",
        "population.herd_sise": 'unknown key; did you mean "herd_size"?',
        "publish.rate": "-3/s",
        "ramp.rate": "0/s",
        "faults.0.kind": "earthquake",
        "thresholds": "bananas",
        "subscribe.sauce": "unknown key",
        "subscribe.event": "required, and missing",
    }.items():
        (line,) = [line for line in said.splitlines() if line.strip().startswith((f"- {key}:", f"- {key}."))]
        assert found in line
        assert "allowed" in line or "unknown key" in line or key == "thresholds"
    assert "11 errors" in said.splitlines()[0]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--workers", "none"], "--workers"),
        (["--tag", "novalue"], "--tag"),
        (["--set", "duration"], "duration"),
        (["--target", "ftp://127.0.0.1/"], "ftp://127.0.0.1/"),
    ],
)
def test_a_wrong_flag(loadtest_run, arguments: list[str], named: str) -> None:
    assert named in refused(loadtest_run("smoke", *arguments))


def test_no_such_profile(loadtest_run) -> None:
    said = refused(loadtest_run("smoek"))
    assert "smoek" in said
    assert "smoke" in said.replace("smoek", ""), "what there is, is named"


def test_too_few_files_are_said_with_the_remedy(loadtest_run, websocket_target) -> None:
    profile = PLAIN.format(url=websocket_target.url, connections=2000)
    said = refused(loadtest_run(profile, "--workers", "2", fds=256))
    assert "open files per process" in said
    assert "256" in said
    assert "ulimit -n" in said
    assert "population.herd_size" in said


def test_too_few_files_for_the_stack_are_said_before_it_starts(loadtest_run) -> None:
    said = refused(loadtest_run("smoke", "--set", "population.connections=600", fds=512))
    assert "open files per gateway node: 556 needed, 512 there; target.nodes of at least 3, or ulimit -n 556" in said


def test_a_folder_that_cannot_be_made(loadtest_run, websocket_target, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    profile = PLAIN.format(url=websocket_target.url, connections=2)
    run = loadtest_run(profile, "--out", str(tmp_path / "file" / "runs"))
    assert str(tmp_path / "file") in refused(run)
    assert "--out" in run.said


def test_a_fault_that_the_target_cannot_have(loadtest_run, websocket_target) -> None:
    profile = PLAIN.format(url=websocket_target.url, connections=2) + '[[faults]]\nkind = "deploy"\n'
    said = refused(loadtest_run(profile))
    assert '"deploy"' in said
    assert "command" in said


def test_a_port_in_use_is_said_before_the_stack_starts() -> None:
    """`loadtest run` takes free ports by itself; whoever fixes them with the stack's own command is told."""
    import subprocess
    import sys

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        argv = [sys.executable, "-m", "reference_gateway.cli", "up", "--port-base", str(port)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2, done.stderr
    assert str(port) in done.stderr
    assert "--port-base" in done.stderr
