"""The core queue, held to a real scheduler."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time

import pytest

from loadtest.users.core_queue import CoreQueue

SPIN = """
import os, time
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
end = time.monotonic() + 0.6
print("on", flush=True)
while time.monotonic() < end:
    pass
"""


def test_core_queue_tells_how_long_the_core_was_somebody_elses() -> None:
    """Two processes that spin on one core: each waits about half of the time."""
    ours = os.sched_getaffinity(0)
    other = subprocess.Popen([sys.executable, "-c", SPIN], stdout=subprocess.PIPE)
    assert other.stdout is not None
    other.stdout.readline()
    os.sched_setaffinity(0, {min(ours)})
    queue = CoreQueue()
    try:
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            pass
        assert 0.05 < queue.waited_s() < 0.3
        assert queue.waited_s() < 0.05, "what was told is not told again"
    finally:
        queue.close()
        os.sched_setaffinity(0, ours)
        other.communicate()


def test_core_queue_of_a_kernel_without_scheduler_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object) -> int:
        raise FileNotFoundError

    monkeypatch.setattr(os, "open", absent)
    queue = CoreQueue()
    assert queue.waited_s() == math.inf
    queue.close()
