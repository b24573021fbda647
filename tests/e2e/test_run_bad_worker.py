"""A worker that says everything a worker must not say: counted, named, the run goes on; strangers are refused.

It joins as one of two publishers, and speaks Locust's wire itself: msgpack over a ZeroMQ DEALER.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import msgpack
import pytest
import zmq

from loadtest import __version__
from loadtest.metrics.histogram import Histogram
from loadtest.metrics.receive_queue import ReceiveQueue
from tests.e2e.conftest import LoadtestRun
from tests.e2e.test_run_joined import PROFILE

pytestmark = pytest.mark.e2e

LOCUST = version("locust")
EMPTY = Histogram().to_wire()


class Worker:
    """One connection to the master, under whatever name it likes."""

    def __init__(self, port: int, name: str) -> None:
        self.name = name
        self._socket = zmq.Context.instance().socket(zmq.DEALER)
        self._socket.setsockopt(zmq.IDENTITY, name.encode())
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.connect(f"tcp://127.0.0.1:{port}")

    def close(self) -> None:
        self._socket.close()

    def send_bytes(self, data: bytes) -> None:
        self._socket.send(data)

    def say(self, kind: str, data: object, name: str | None = None) -> None:
        self.send_bytes(msgpack.dumps((kind, data, name or self.name)))

    def hear(self, wanted: str, seconds: float = 20.0) -> Any:
        """Return the content of the next message of a kind; None when none comes. Heartbeats go out meanwhile."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if not self._socket.poll(min(left, 0.5) * 1_000):
                self.say("heartbeat", {"state": "running", "current_cpu_usage": 1.0})
                continue
            kind, data, _ = msgpack.loads(self._socket.recv(), strict_map_key=False)
            if kind == wanted:
                return data
        return None

    def introduce(self, harness: str = __version__) -> None:
        self.say("client_ready", LOCUST)
        assert self.hear("ack") is not None
        who = {"role": "publisher", "version": harness, "pid": 1, "host": "elsewhere", "remote": True, "files": 1_000}
        self.say("loadtest.hello", who | {"users": {"Population": "", "Publisher": ""}})


Connect = Callable[[str], Worker]


@pytest.fixture
def connect(port: int) -> Iterator[Connect]:
    made: list[Worker] = []

    def start(name: str) -> Worker:
        made.append(Worker(port, name))
        return made[-1]

    yield start
    for worker in made:
        worker.close()


@pytest.fixture
def run(loadtest_run, websocket_target, port) -> Iterator[LoadtestRun]:
    """Start a run that waits for two publishers; an honest one joins."""
    profile = PROFILE.format(url=websocket_target.url, rate=20, duration="4s")
    started = loadtest_run(profile, "--workers", "1", "--expect-publishers", "2", "--bind", f"127.0.0.1:{port}")
    argv = [sys.executable, "-m", "loadtest.cli", "worker", "--master", f"127.0.0.1:{port}", "--role", "publisher"]
    honest = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield started
    if honest.poll() is None:
        honest.terminate()
    honest.wait(20)


def report(worker: int, seq: int, **more: object) -> dict[str, Any]:
    """Return an interval in which nothing happened."""
    return {
        "worker": worker, "seq": seq, "t_ns": time.monotonic_ns(), "final": False, "herds": [], "outages": {},
        "others": [],
        "publishing": {"published": 0, "unsent": 0, "failures": {}, "lateness": EMPTY},
        "generator": {
            "lag": EMPTY, "receive_queue": ReceiveQueue().to_wire(), "cpu_percent": 1.0, "rss_bytes": 1, "gc_ms": 0,
            "gc_max_ms": 0.0, "errors": 0,
        },
        "clock_error_ns": 0,
    } | more  # fmt: skip


def test_every_bad_word_is_counted_and_named_and_the_run_goes_on(run, connect) -> None:
    old = connect("old")
    old.introduce("0.0.1")
    assert f"it runs version 0.0.1, the master {__version__}" in old.hear("loadtest.refused")["reason"]

    bad = connect("bad")
    bad.introduce()
    place = bad.hear("loadtest.plan")["worker"]
    assert bad.hear("loadtest.go") is not None
    twin = connect("bad")  # ZeroMQ itself lets nobody in under a name that is taken
    twin.say("client_ready", LOCUST)
    thief = connect("thief")
    thief.say("loadtest.report", report(place, 1), name="bad")
    assert "under the name of 'bad', which is not its own" in thief.hear("loadtest.refused")["reason"]
    assert twin.hear("ack", 0.2) is None

    good = report(place, 5)
    bad.say("loadtest.report", good)
    refused: list[tuple[object, str]] = [
        (good, "sent twice or late"),
        (report(place, 4), "sent twice or late"),
        ("what", "report must be an object"),
        (report(place + 1, 6), f"it speaks as worker {place + 1}"),
    ]
    more: list[object] = [
        report(place, 6, t_ns=time.monotonic_ns() + 60 * 10**9),
        report(place, 6, herds=[{"ledger": {"counts": {str(number): 1 for number in range(100_000)}}}]),
        report(place, 6, outages={"an event nobody opened": []}),
    ]
    for words, _ in refused:
        bad.say("loadtest.report", words)
    for words in more:
        bad.say("loadtest.report", words)
    bad.send_bytes(b"\xc1 these bytes are no message")
    bad.send_bytes(b"\x00" * (65 << 20))
    bad.say("heartbeat", None)
    bad.say("loadtest.published", {"messages": [[0, 1, 2, 3]]})
    count = len(refused) + len(more) + 4

    assert bad.hear("loadtest.finish") is not None, "it was heard to the end"
    bad.say("loadtest.report", report(place, 7, final=True))
    assert run.wait(40) == 3, run.said
    result = run.result
    assert result["verdict"] == "invalid"
    assert result["generator"]["reports_rejected"] == count
    assert result["generator"]["workers_lost"] == 0
    assert f"{count} reports of workers were refused, so figures are missing; see the run's log." in result["reasons"]
    assert result["connections"]["at_end"] == 120
    fanout = result["fanout"]
    assert fanout["expected"] == fanout["delivered"] > 500
    assert fanout["imbalance"] == 0
    log = (run.folder / "intervals.jsonl").read_text()
    for _, words in refused:
        assert f"report of worker {place} refused: " in log
        assert words in log
    assert "message of stranger 'thief' refused" in log
    assert "more of it is counted, not told" in log
