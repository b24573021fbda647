"""One message to everybody at once: what of its latency is the harness's own receive queue, by two accounts.

    calibrated target: when it sent which message to whom --\\
                                                             receipt - send, every delivery  <== 20 % ==>  the kernel's
    worker: when it had read which message of whom --------/                                 stamps, on the sample

The worker of `loadtest run` keeps no such note; there the means of all deliveries must add up: reported latency minus
the target's own account of it = reported receive queue.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.truth.account import Account, percentile
from tests.truth.scenario import NICE, Outcome, Scenario, run, running_target

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("no_leftovers")]

LOCUSTFILE = Path(__file__).parent / "locustfiles" / "burst.py"
CONNECTIONS = 2_000
RECEIPT = struct.Struct("<IIq")
SLOW_US = 25
SHARE = 0.2
LOOPBACK_MS = 0.1
"""From the target's stamp, before its send, to the kernel's; and from the read to the worker's note of it."""


def waits_ns(account: Account, receipts: Path) -> Iterator[int]:
    """Yield receipt - send of every delivery."""
    noted = {(seq, client): at_ns for seq, client, at_ns in RECEIPT.iter_unpack(receipts.read_bytes())}
    names = account.facts["names"]
    for sent in account.sent():
        yield noted[account.publishes[sent.publish].seq, names[str(sent.client)]] - sent.sent_ns


def test_the_receive_queue_of_bursts_to_2000_is_what_it_was(tmp_path) -> None:
    receipts = tmp_path / "receipts.bin"
    with running_target({}, tmp_path / "target") as (_, port):
        argv = [*NICE, sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--only-summary"]
        given = {"TRUTH_URL": f"ws://127.0.0.1:{port}", "TRUTH_RECEIPTS": str(receipts), "TRUTH_US": str(SLOW_US)}
        done = subprocess.run(
            [*argv, "-u", "2", "-t", "7s", "--loadtest-out", str(tmp_path / "runs")],
            env=os.environ | given,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr.decode()
    (folder,) = (tmp_path / "runs").iterdir()
    result = json.loads((folder / "run.json").read_text())
    account = Account(tmp_path / "target")
    true = sorted(waits_ns(account, receipts))
    assert len(true) > 8 * CONNECTIONS  # the first is published while they connect, to those who have
    assert result["fanout"]["lost"] == result["fanout"]["duplicated"] == 0

    told = result["generator"]
    assert told["receive_queue_connections"] == 32
    assert told["receive_queue_count"] >= 32 * (len(true) // CONNECTIONS)
    assert told["receive_queue_error_ms"] < 0.05
    assert told["receive_queue_discarded"] == 0
    for percent in (50, 99):
        true_ms, told_ms = percentile(true, percent) / 1e6, told[f"receive_queue_p{percent}_ms"]
        sys.stdout.write(f"p{percent}: told {told_ms:.3f} ms, true {true_ms:.3f} ms\n")
        assert abs(told_ms - true_ms) <= SHARE * true_ms + LOOPBACK_MS, (percent, told_ms, true_ms)
    assert told["receive_queue_p99_ms"] > 10, "the worker was too quick for a queue"


def mean_ms(outcome: Outcome, tag: str) -> float:
    """Return the mean of all that the run logged under a name, interval by interval."""
    intervals = list(outcome.logged(tag))
    count = sum(histogram.get_total_count() for histogram in intervals)
    return sum(histogram.get_mean_value() * histogram.get_total_count() for histogram in intervals) / count / 1e6


def test_the_receive_queue_is_what_latency_has_beyond_the_targets_own(tmp_path) -> None:
    burst = Scenario({}, connections=CONNECTIONS, channels=1, rate_per_s=4, duration_s=3, deadline_s=1)
    outcome = run(burst, tmp_path)
    delivered = outcome.truth.latencies
    assert outcome.fanout["delivered"] == len(delivered) > 8 * CONNECTIONS
    true_ms = mean_ms(outcome, "fanout.latency") - sum(delivered) / len(delivered) / 1e6
    told_ms = mean_ms(outcome, "generator.receive_queue")
    sys.stdout.write(f"mean: told {told_ms:.3f} ms, true {true_ms:.3f} ms\n")
    assert abs(told_ms - true_ms) <= SHARE * true_ms + LOOPBACK_MS
    assert outcome.result["verdict"] == "pass", "one reader reads one connection after the other: that is no fault"
