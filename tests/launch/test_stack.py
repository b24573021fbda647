"""The reference stack as a child, played by a stub of a few lines; the real one is started in tests/e2e."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from loadtest.errors import LoadtestError, TargetUnreachableError, UsageError
from loadtest.launch import stack as module
from loadtest.launch.stack import Ready, ReferenceStack

READY = {
    "schema": "reference_gateway.ready/1",
    "version": "bifrost-1",
    "pid": 123,
    "nodes": 2,
    "bootstrap_url": "http://127.0.0.1:9/v1/bootstrap",
    "gateway_urls": ["ws://127.0.0.1:1/socket.io/", "ws://127.0.0.1:2/socket.io/"],
    "control": {"url": "http://127.0.0.1:3", "token": "t"},
    "parts": [
        {"name": "gateway-1", "kind": "gateway", "pid": 124, "url": "http://127.0.0.1:4"},
        {"name": "storage", "kind": "storage"},
    ],
}

STUB = f"""
import json, sys, time
arguments = sys.argv[1:]
print(json.dumps(arguments), flush=True)
version, ready = arguments[arguments.index("--version") + 1], arguments[arguments.index("--ready-file") + 1]
if version == "unknown":
    print("no version named unknown", file=sys.stderr)
    sys.exit(2)
if version == "bare":
    import no_such_package
if version == "sick":
    print("gateway-1: port in use", file=sys.stderr)
    sys.exit(1)
if version == "halves":
    open(ready, "w").write('{{"schema": "ref')
elif version != "slow":
    open(ready, "w").write({json.dumps(READY)!r})
time.sleep(60)
"""


@pytest.fixture
def start(tmp_path: Path) -> Callable[[str], ReferenceStack]:
    stacks: list[ReferenceStack] = []

    def start(version: str) -> ReferenceStack:
        command = [sys.executable, "-c", STUB]
        stacks.append(ReferenceStack.start(version=version, nodes=2, log_dir=tmp_path / "logs", command=command))
        return stacks[-1]

    yield start
    for stack in stacks:
        stack.stop(0.5)


@pytest.mark.e2e
def test_a_ready_stack_is_read_and_ended(start, tmp_path: Path) -> None:
    stack = start("bifrost-1")
    ready = stack.wait_ready(10)
    assert ready == stack.ready
    assert ready.gateway_urls == ("ws://127.0.0.1:1/socket.io/", "ws://127.0.0.1:2/socket.io/")
    assert (ready.control_url, ready.control_token) == ("http://127.0.0.1:3", "t")
    assert ready.parts == (("gateway-1", "gateway", 124, "http://127.0.0.1:4"), ("storage", "storage", None, None))
    assert "'t'" not in repr(ready)
    arguments = json.loads((tmp_path / "logs/stack.log").read_text())
    assert arguments[:5] == ["up", "--version", "bifrost-1", "--nodes", "2"]
    assert "--die-with-parent" in arguments
    assert stack.stop().status == -signal.SIGTERM
    assert not (tmp_path / "logs/stack.json").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(stack.child.pid, 0)


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("version", "error", "text"),
    [
        ("unknown", UsageError, "the reference stack ended with exit code 2\n.*\n    no version named unknown"),
        ("sick", TargetUnreachableError, "ended with exit code 1\n.*\n    gateway-1: port in use"),
        ("bare", UsageError, r"(?s)No module named 'no_such_package'.*pip install 'gateway-loadtest\[reference\]'"),
        ("slow", TargetUnreachableError, "was not ready after 0.5 s"),
        ("halves", TargetUnreachableError, "was not ready after 0.5 s"),
    ],
)
def test_a_stack_that_fails_is_said_and_ended(start, version: str, error: type[LoadtestError], text: str) -> None:
    stack = start(version)
    with pytest.raises(error, match=text):
        stack.wait_ready(0.5 if version in ("slow", "halves") else 10)
    assert stack.child.poll() is not None


def test_a_missing_package_is_a_usage_error_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PACKAGE", "reference_gateway_not_there")
    with pytest.raises(UsageError, match=r"not installed; pip install 'gateway-loadtest\[reference\]'"):
        ReferenceStack.start(version="sync", nodes=1, log_dir=tmp_path)


@pytest.mark.parametrize(
    ("change", "text"),
    [({"schema": "reference_gateway.ready/9"}, "speaks 'reference_gateway.ready/9'"), ({"control": {}}, "'url'")],
)
def test_a_ready_file_of_another_schema_is_refused(change: dict, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        Ready.parse(json.dumps(READY | change))


def test_half_a_ready_file_is_not_ready() -> None:
    assert Ready.parse(json.dumps(READY)[:50]) is None
    assert Ready.parse("") is None
