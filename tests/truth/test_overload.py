"""A generator that was robbed of its CPU says so: invalid, which worker, when, what to do; never a pass."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.truth.scenario import NICE, Scenario, loadtest_run, running_target

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("no_leftovers")]

LOCUSTFILE = Path(__file__).parent / "locustfiles" / "blocking.py"
STOPPED_S, RUNNING_S = 0.4, 0.3


@contextmanager
def robbing(runs: Path, name: str) -> Iterator[None]:
    """Take the CPU from one worker, again and again, from the hold phase on: it stands still for 0.4 s out of 0.7 s."""
    over = threading.Event()

    def rob() -> None:
        pid = 0
        while not over.wait(0.02) and not pid:
            for told in runs.glob("*/intervals.jsonl"):
                if '"hold"' in told.read_text():
                    started = (told.parent / "logs" / "nursery.out").read_text().splitlines()
                    pid = next((event["pid"] for event in map(json.loads, started) if event.get("name") == name), 0)
        with suppress(ProcessLookupError):  # the run is over
            while pid and not over.is_set():
                os.kill(pid, signal.SIGSTOP)
                time.sleep(STOPPED_S)
                os.kill(pid, signal.SIGCONT)
                over.wait(RUNNING_S)

    thread = threading.Thread(target=rob)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("thresholds", [("fanout.latency.p99 < 60s",), ("delivery.loss == 0",)])
def test_a_worker_without_cpu_makes_the_run_invalid(thresholds: tuple[str, ...], tmp_path) -> None:
    scenario = Scenario({}, connections=100, workers=2, duration_s=5, thresholds=thresholds)
    with running_target({}, tmp_path / "target") as (_, port), robbing(tmp_path / "runs", "herd-2"):
        profile = scenario.profile(f"ws://127.0.0.1:{port}")
        code, said, folder = loadtest_run(profile, tmp_path, "--workers", "2")
    result = json.loads((folder / "run.json").read_text())
    assert (code, result["verdict"]) == (3, "invalid"), said
    (why,) = [reason for reason in result["reasons"] if "event-loop lag" in reason]
    named = re.search(r"Worker (\d+) had it worst, ([\d.]+) ms at (\d+) s with \d+ % CPU at most: .*machine", why)
    assert named is not None, why
    accounts = {account["worker"]: account["loop_lag_p99_ms"] for account in result["generator"]["workers"]}
    assert max(accounts, key=lambda worker: accounts[worker]) == int(named[1])
    assert float(named[2]) > 200
    assert result["fanout"]["imbalance"] == 0


def test_a_hook_that_blocks_makes_the_run_invalid(tmp_path) -> None:
    with running_target({}, tmp_path / "target") as (_, port):
        argv = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--only-summary"]
        done = subprocess.run(
            [*NICE, *argv, "-u", "2", "-r", "10", "-t", "5s", "--loadtest-out", str(tmp_path / "runs")],
            env=os.environ | {"TRUTH_URL": f"ws://127.0.0.1:{port}"},
            cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    (folder,) = (tmp_path / "runs").iterdir()
    result = json.loads((folder / "run.json").read_text())
    assert (done.returncode, result["verdict"]) == (3, "invalid"), done.stderr
    (why,) = [reason for reason in result["reasons"] if "event-loop lag" in reason]
    assert "something else takes its CPU or blocks its loop" in why
    assert result["generator"]["loop_lag_p99_ms"] > 200
    assert result["fanout"]["imbalance"] == 0
