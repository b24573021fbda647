"""Memory per connection, and what a connection and a message cost at 100,000 compared with 10,000.

As many client processes (and servers) as the large population needs hold first the small population, then the large
one. After each step every connection has received messages, so what a herd keeps per connection is there.
Only memory private to the client processes counts; kernel buffers are the same for every client.
"""

from __future__ import annotations

import gc
from typing import NamedTuple

from tests.bench.figure import Figure
from tests.bench.measure import private_bytes
from tests.bench.programs import Crowd, Server, broadcast, herd
from tests.bench.scale import Scale

ROUNDS = 3
BROADCASTS = 5
SECONDS_PER_SEND = 14e-6


class Costs(NamedTuple):
    """What one round found: private bytes of an empty process, and for both populations what they cost."""

    empty: float
    connections: tuple[int, ...]
    bytes: tuple[float, ...]
    us_per_message: tuple[float, ...]

    @property
    def slope(self) -> float:
        """Return the bytes of a connection beyond the small population."""
        small, large = (count * each for count, each in zip(self.connections, self.bytes, strict=True))
        return (large - small) / (self.connections[1] - self.connections[0])


def run(scale: Scale) -> list[Figure]:
    """Measure."""
    rounds = [_round(scale) for _ in range(min(ROUNDS, scale.rounds))]
    last = rounds[-1]
    sizes = f"{last.connections[0]:,} and {last.connections[1]:,} connections in {_processes(scale)} processes"
    return [
        Figure.of(
            "client memory per connection, slope",
            [each.slope / 1000 for each in rounds],
            unit="kB",
            bar=1.0,
            stretch=0.4,
            detail=f"{sizes}; {last.empty / 1e6:.1f} MB private per empty process",
        ),
        Figure.of(
            "memory per connection, large / small",
            [each.bytes[1] / each.bytes[0] for each in rounds],
            bar=1.1,
            stretch=1.0,
            detail="{1:.2f} kB / {0:.2f} kB".format(*(value / 1000 for value in last.bytes)),
        ),
        Figure.of(
            "CPU per message, large / small",
            [each.us_per_message[1] / each.us_per_message[0] for each in rounds],
            bar=1.1,
            stretch=1.0,
            detail="; ".join("{1:.2f} us / {0:.2f} us".format(*each.us_per_message) for each in rounds),
        ),
    ]


def _processes(scale: Scale) -> int:
    return -(-scale.large // scale.per_process)


def _round(scale: Scale) -> Costs:
    """Measure once, with processes of its own."""
    processes = _processes(scale)
    gc.collect()
    servers = [Server() for _ in range(processes)]
    with Crowd(servers):
        clients = [herd(server, number) for number, server in enumerate(servers)]
        with Crowd(clients):
            pairs = list(zip(servers, clients, strict=True))
            empty = sum(private_bytes(client.pid) for client in clients)
            held: list[int] = []
            costs: list[float] = []
            memory: list[float] = []
            for population in (scale.small, scale.large):
                each = population // processes
                for client in clients:
                    client.connect(each - (held[-1] // processes if held else 0))
                # The servers share two cores: their sends are spread so that no client falls behind.
                pace_s = population * SECONDS_PER_SEND
                broadcast(pairs, 2, pace_s)
                before = sum(client.cpu_ns() for client in clients)
                messages = broadcast(pairs, BROADCASTS, pace_s)
                costs.append((sum(client.cpu_ns() for client in clients) - before) / messages / 1e3)
                held.append(each * processes)
                memory.append((sum(private_bytes(client.pid) for client in clients) - empty) / held[-1])
    return Costs(empty / processes, tuple(held), tuple(memory), tuple(costs))
