"""The disk fills while a run writes: said at once, the run ends as interrupted, what is on disk can be read.

Real limits of the real kernel: a small file system that somebody else fills up (needs root), and a limit on the size of
files that is set on the running process (needs nothing).
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import LoadtestRun
from tests.e2e.topics import TOPICS

pytestmark = pytest.mark.e2e

SIZE_BYTES = 8 << 20
ENDED_WITHIN_S = 12.0
PROFILE = """
name = "disk"
duration = "60s"

[target]
dialect = "websocket"
url = "{url}/feed"

[population]
connections = 40

[[population.channels]]
name = "topic-{{n}}"
count = 2

[ramp]
rate = "200/s"
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder on a file system of eight megabytes: a report has five."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill_up(folder: Path) -> Path:
    """Take every byte that is left."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            return filler
    raise AssertionError("the disk has no end")


def ended_well(run: LoadtestRun, words: str, make_room: Callable[[], None]) -> None:
    """Check what is said of a disk that was full from now on, and what can be read of the run."""
    began = time.monotonic()
    intervals = run.folder / "intervals.jsonl"
    before = intervals.read_bytes()
    assert run.wait(20) == 130, run.said
    assert time.monotonic() - began < ENDED_WITHIN_S
    said = " ".join(run.said.split())  # the terminal's lines are short
    assert said.count(f"intervals.jsonl: {words}") == 1
    assert "Traceback" not in said
    after = intervals.read_bytes()
    assert after.startswith(before), "what was written stays"
    assert not (run.folder / "run.json").exists(), "whole or not at all"
    assert not list(run.folder.glob(".*.tmp"))
    make_room()
    whole, _, torn = after.rpartition(b"\n")
    lines = [json.loads(line) for line in whole.splitlines()]
    assert [line["mark"] for line in lines if "mark" in line][:3] == ["ramp", "warmup", "hold"]
    argv = [sys.executable, "-m", "loadtest.cli", "report", str(run.folder)]
    report = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert report.returncode == 0, report.stderr
    assert "Interrupted" in report.stdout
    assert (run.folder / "report.html").stat().st_size > 10_000
    assert len(torn) < 4_096


def under_way(run: LoadtestRun) -> None:
    run.until_said("mark=hold")
    run.until(lambda: (run.folder / "intervals.jsonl").read_text().count('"phase":"hold"') >= 2)


def test_a_disk_that_somebody_fills_up(small_disk, loadtest_run, websocket_target) -> None:
    run = loadtest_run(
        PROFILE.format(url=websocket_target.url) + TOPICS.format(rate=20), "--out", str(small_disk / "runs")
    )
    run.out = small_disk / "runs"
    under_way(run)
    filler = fill_up(small_disk)
    ended_well(run, "No space left on device; free space on that disk or name another folder with --out", filler.unlink)


def test_a_file_that_may_not_grow(loadtest_run, websocket_target) -> None:
    run = loadtest_run(PROFILE.format(url=websocket_target.url) + TOPICS.format(rate=20))
    under_way(run)
    size = (run.folder / "intervals.jsonl").stat().st_size
    resource.prlimit(run.process.pid, resource.RLIMIT_FSIZE, (size, size))
    ended_well(run, "File too large", lambda: None)
