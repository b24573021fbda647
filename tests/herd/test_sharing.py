"""How many workers share a core: told once, read everywhere."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time

import pytest

from loadtest.herd import sharing


def test_worker_that_was_told_nothing_has_a_core_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(sharing.VARIABLE, raising=False)
    assert sharing.workers_per_core() == 0
    assert not sharing.are_many()


@pytest.mark.parametrize(("workers", "many"), [(2, False), (8, False), (9, True), (56, True)])
def test_what_is_told_is_read(monkeypatch: pytest.MonkeyPatch, workers: int, many: bool) -> None:
    monkeypatch.setenv(sharing.VARIABLE, "")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    assert sharing.tell(workers) == workers / 2 == sharing.workers_per_core()
    assert sharing.are_many() is many


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
    queue = sharing.CoreQueue()
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
    queue = sharing.CoreQueue()
    assert queue.waited_s() == math.inf
    queue.close()
