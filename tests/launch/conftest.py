"""What tests of real processes share: waiting for a condition, and whether a pid still runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

WaitUntil = Callable[..., None]
Running = Callable[[int], bool]


@pytest.fixture
def wait_until() -> WaitUntil:
    """Return `wait_until(condition, timeout_s=10)`: polls, and fails the test when it never holds."""

    def wait_until(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, "the awaited condition never came"
            time.sleep(0.01)

    return wait_until


@pytest.fixture
def running() -> Running:
    """Return `running(pid)`: whether the process exists and is no zombie."""

    def running(pid: int) -> bool:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return False
        return state not in ("Z", "X")

    return running
