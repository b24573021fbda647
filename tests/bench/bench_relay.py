"""What the relay adds in fine weather: to a round trip, to the CPU of the machine, and how much it can carry.

client (this process) <--> echo            direct
client (this process) <--> relay <--> echo relayed, in turn with the other
"""

from __future__ import annotations

import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median, quantiles

from loadtest.clock import NS_PER_S, now_ns
from tests.bench import measure
from tests.bench.figure import Figure
from tests.bench.scale import Scale

ECHO = """
import contextlib, socket
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
while True:
    peer, _ = server.accept()
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with contextlib.suppress(OSError):  # who has measured enough leaves in the middle
        while data := peer.recv(262144):
            peer.sendall(data)
"""
WORDS = bytes(64)
TRIPS = 2000
BLOCK = bytes(65_536)
IN_FLIGHT = 4


def run(scale: Scale) -> list[Figure]:
    """Measure."""
    quick = scale.rounds < 3
    trips, seconds = (TRIPS // 10, 0.1) if quick else (TRIPS, 1.0)
    direct, relayed, p99, costs, carried = [], [], [], [], []
    with _process("-c", ECHO) as echo:
        gateway = f"127.0.0.1:{_port(echo)}"
        with _relay(gateway) as (relay, front):
            for _ in range(scale.rounds):
                plain = _trips(gateway, trips)
                direct.append(median(plain))
                before = measure.cpu_ns(relay.pid)
                through = _trips(front, trips)
                costs.append((measure.cpu_ns(relay.pid) - before) / trips / 2 / 1000)
                relayed.append(median(through))
                p99.append(quantiles(through, n=100)[98] - quantiles(plain, n=100)[98])
                carried.append(_carried_per_s(gateway, seconds) / _carried_per_s(front, seconds))
    added = [each - other for each, other in zip(relayed, direct, strict=True)]
    detail = f"{median(relayed):.0f} us / {median(direct):.0f} us"
    return [
        Figure.of("relay: round trip p50, added", added, unit="us", detail=detail),
        Figure.of("relay: round trip p99, added", p99, unit="us"),
        Figure.of("relay: CPU per message", costs, unit="us"),
        Figure.of("relay: throughput of one stream, direct / relayed", carried),
    ]


def _trips(address: str, count: int) -> list[float]:
    """Return the time of each of `count` round trips, in us."""
    took = []
    with _connect(address) as sock:
        for _ in range(count):
            begun = now_ns()
            sock.sendall(WORDS)
            got = 0
            while got < len(WORDS):
                got += len(sock.recv(len(WORDS)))
            took.append((now_ns() - begun) / 1000)
    return took


def _carried_per_s(address: str, seconds: float) -> float:
    """Return the bytes a second that come back, with a few blocks on their way at a time."""
    got, begun = 0, now_ns()
    with _connect(address) as sock:
        sock.sendall(BLOCK * IN_FLIGHT)
        while now_ns() - begun < seconds * NS_PER_S:
            waiting = len(BLOCK)
            while waiting:
                waiting -= len(sock.recv(waiting))
            got += len(BLOCK)
            sock.sendall(BLOCK)
    return got / ((now_ns() - begun) / NS_PER_S)


def _connect(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    sock = socket.create_connection((host, int(port)), 10.0)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


@contextmanager
def _process(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def _port(process: subprocess.Popen[bytes]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


@contextmanager
def _relay(gateway: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(("127.0.0.1", 0))
        front = f"127.0.0.1:{holder.getsockname()[1]}"
        name = f"loadtest-bench-{secrets.token_hex(8)}"
        with _process("-m", "loadtest.relay", "--control", name, f"{front}={gateway}") as relay:
            assert relay.stdout is not None
            relay.stdout.readline()
            yield relay, front
