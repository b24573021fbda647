"""A run over two hosts: two network namespaces, each with addresses of its own, joined by a cable.

    host A  10.199.7.1                            host B  10.199.7.2, .10 - .13
    target, loadtest run --bind 10.199.7.1  <---> loadtest worker --master 10.199.7.1

What makes host B another machine, as far as a process can see: its own network, no view of the profile's folder (an
empty file system is mounted over it), and, where the test says so, another CLOCK_MONOTONIC (a time namespace, 5,000 s
ahead). The product has no switch for that: the kernel shifts the clock.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from loadtest.results.schema import validate

from .conftest import ESTABLISHED, LoadtestRun, first
from .topics import TOPICS

pytestmark = pytest.mark.e2e

SERVER = Path(__file__).parent / "targets" / "websocket_server.py"
ADDRESS = "10.199.7.1"
OTHERS = ["10.199.7.2", "10.199.7.10", "10.199.7.11", "10.199.7.12", "10.199.7.13"]
AHEAD_S = 5_000
PROFILE = (
    """
name = "two-hosts"
duration = "4s"
thresholds = ["delivery.loss == 0", "connections.peak >= 200", "generator.clock_error < 100ms"]

[target]
dialect = "websocket"
url = "{url}/feed"

[client]
csv = "users.csv"
query = {{ who = "{{who}}" }}

[population]
connections = 200
herd_size = 25
source_addresses = ["10.199.7.1", "10.199.7.10-10.199.7.13"]

[[population.channels]]
name = "topic-{{n}}"
count = 5

[ramp]
rate = "200/s"
"""
    + TOPICS
)


@dataclass
class TwoHosts:
    """Two network namespaces; everything started in them ends with the test."""

    a: str
    b: str
    folder: Path
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, host: str, name: str, *argv: str) -> subprocess.Popen[bytes]:
        """Start a command on a host; what it says goes to `<folder>/<name>`."""
        with (self.folder / name).open("wb") as out:
            process = subprocess.Popen(
                ["ip", "netns", "exec", host, *argv],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
            )
        self.started.append(process)
        return process

    def said(self, name: str) -> str:
        return (self.folder / name).read_text()

    def target(self) -> str:
        """Start the target on host A; return its URL."""
        self.start(self.a, "target.out", sys.executable, str(SERVER), "--host", ADDRESS)
        until(lambda: self.said("target.out").endswith("\n"))
        return f"ws://{ADDRESS}:{json.loads(self.said('target.out'))['port']}"

    def run(self, url: str, *arguments: str) -> LoadtestRun:
        """Start `loadtest run` on host A."""
        (self.folder / "profile").mkdir()
        (self.folder / "profile" / "two.toml").write_text(PROFILE.format(url=url, rate=40))
        (self.folder / "profile" / "users.csv").write_text("who\nann\nbob\n")
        argv = [sys.executable, "-m", "loadtest.cli", "run", "profile/two.toml", "--out", "runs", *arguments]
        return LoadtestRun(self.start(self.a, "run.out", *argv), self.folder / "runs", self.folder / "run.out")

    def worker(self, port: str, *arguments: str, ahead_s: int = 0) -> subprocess.Popen[bytes]:
        """Start `loadtest worker` on host B, which sees nothing of the profile's folder; `port` is ":N" or ""."""
        blind = first(f"mount -t tmpfs none {self.folder / 'profile'}")
        shift = ["unshare", "--time", f"--monotonic={ahead_s}", "--fork", "--kill-child"] if ahead_s else []
        argv = [*shift, sys.executable, "-m", "loadtest.cli", "worker", "--master", ADDRESS + port, *arguments]
        return self.start(self.b, f"worker-{len(self.started)}.out", *blind, *argv)

    def peers(self, port: int) -> dict[str, int]:
        """Return how many established connections to `port` host A has from each address."""
        command = ["ip", "netns", "exec", self.a, "cat", "/proc/net/tcp"]
        table = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        counts: dict[str, int] = {}
        for line in table.splitlines()[1:]:
            _, local, remote, state, *_ = line.split()
            if state == ESTABLISHED and local.endswith(f":{port:04X}"):
                address = ".".join(str(byte) for byte in bytes.fromhex(remote.split(":")[0])[::-1])
                counts[address] = counts.get(address, 0) + 1
        return counts

    def end(self) -> None:
        for process in self.started[::-1]:
            process.send_signal(signal.SIGTERM)
        for process in self.started[::-1]:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the awaited condition never came"
        time.sleep(0.02)


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


@pytest.fixture
def two_hosts(no_leftovers: None, tmp_path: Path) -> Iterator[TwoHosts]:
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    if shutil.which("ip") is None:
        pytest.skip("iproute2 is not installed")
    a, b = (f"lt{os.getpid()}{letter}" for letter in "ab")
    hosts = TwoHosts(a, b, tmp_path)
    try:
        try:
            ip("netns", "add", a)
            ip("netns", "add", b)
            ip("link", "add", f"{a}v", "netns", a, "type", "veth", "peer", "name", f"{b}v", "netns", b)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespaces here: {error.stderr.strip()}")
        for host, addresses in ((a, [ADDRESS]), (b, OTHERS)):
            for address in addresses:
                ip("-n", host, "address", "add", f"{address}/24", "dev", f"{host}v")
            ip("-n", host, "link", "set", "lo", "up")
            ip("-n", host, "link", "set", f"{host}v", "up")
        yield hosts
    finally:
        hosts.end()
        for host in (a, b):  # the cable goes with them
            subprocess.run(["ip", "netns", "delete", host], check=False, capture_output=True)


def passed(run: LoadtestRun) -> dict:
    assert run.wait(60) == 0, run.said
    result = run.result
    assert validate(result) == []
    assert result["verdict"] == "pass"
    assert result["harness"]["workers"] == 3
    assert result["generator"]["workers_lost"] == 0
    assert result["fanout"]["delivered"] == result["fanout"]["expected"] > 4_000
    return result


def test_workers_of_another_host_hold_the_population(two_hosts: TwoHosts) -> None:
    url = two_hosts.target()
    run = two_hosts.run(url, "--workers", "0", "--expect-workers", "2", "--bind", ADDRESS)
    worker = two_hosts.worker("", "--processes", "2")
    run.until_said("mark=hold")
    peers = two_hosts.peers(int(url.rpartition(":")[2]))
    peers.pop(ADDRESS, None)  # the publisher's
    assert peers == dict.fromkeys(OTHERS[1:], 50), "all clients come from host B, spread over its addresses"
    result = passed(run)
    assert worker.wait(20) == 0, "the run's end is the worker's end"
    assert result["generator"]["clock_error_ms"] == 0, "another network, but one kernel and one clock"
    said = run.said
    assert said.count("warning: ") == 1
    assert f"waiting for 2 herd processes: loadtest worker --master {ADDRESS}:5557 --role herd" in said


@pytest.mark.parametrize("publisher_there", [False, True])
def test_times_of_a_host_with_another_clock_stay_right(two_hosts: TwoHosts, publisher_there: bool) -> None:
    shift = ["unshare", "--time", f"--monotonic={AHEAD_S}", "--fork", "true"]
    if shutil.which("unshare") is None or subprocess.run(shift, capture_output=True, check=False).returncode != 0:
        pytest.skip("no time namespaces here")
    publishers = ["--expect-publishers", "1"] if publisher_there else []
    arguments = ["--workers", "1", "--expect-workers", "1", *publishers, "--bind", f"{ADDRESS}:6001"]
    run = two_hosts.run(two_hosts.target(), *arguments)
    workers = [two_hosts.worker(":6001", "--processes", "1", ahead_s=AHEAD_S)]
    if publisher_there:
        workers.append(two_hosts.worker(":6001", "--role", "publisher", ahead_s=AHEAD_S))
    result = passed(run)
    error_ms = result["generator"]["clock_error_ms"]
    assert 0 < error_ms < 100
    latency_ms, connect_ms = result["fanout"]["latency_ms"], result["connections"]["connect_ms"]
    assert latency_ms["p50"] < 100 + error_ms
    assert latency_ms["max"] < 1_000 + error_ms, "within the deadline: 5,000 s would show"
    assert connect_ms["max"] < 5_000
    assert [worker.wait(20) for worker in workers] == [0] * len(workers)
    clocks = [(each["clock_offset_s"], each["clock_error_ms"]) for each in result["generator"]["workers"]]
    there = [(offset_s, bound_ms) for offset_s, bound_ms in clocks if offset_s]
    assert len(there) == len(workers)
    assert clocks.count((0, 0)) == 3 - len(workers), "the master's own kernel"
    for offset_s, bound_ms in there:  # the kernel shifted the clock by exactly this: the bound must hold
        assert abs(offset_s + AHEAD_S) * 1_000 <= bound_ms <= error_ms
