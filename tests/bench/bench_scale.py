"""Memory per connection, and what a connection and a message cost at 100,000 compared with 10,000.

As many client processes (and servers) as the large population needs hold first the small population, then the large
one. After each step every connection has received messages, so what a herd keeps per connection is there.
Only memory private to the client processes counts; kernel buffers are the same for every client.
"""

from __future__ import annotations

import gc

from tests.bench.figure import Figure
from tests.bench.measure import private_bytes
from tests.bench.programs import Crowd, Server, broadcast, herd
from tests.bench.scale import Scale

BROADCASTS = 5
SECONDS_PER_SEND = 14e-6


def run(scale: Scale) -> list[Figure]:
    """Measure."""
    processes = -(-scale.large // scale.per_process)
    gc.collect()
    servers = [Server() for _ in range(processes)]
    with Crowd(servers):
        clients = [herd(server, number) for number, server in enumerate(servers)]
        with Crowd(clients):
            pairs = list(zip(servers, clients, strict=True))
            empty = sum(private_bytes(client.pid) for client in clients)
            held: list[int] = []
            costs: list[float] = []
            memory: list[int] = []
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
                memory.append(sum(private_bytes(client.pid) for client in clients))
                held.append(each * processes)
    slope = (memory[1] - memory[0]) / (held[1] - held[0]) / 1000
    small, large = ((bytes_ - empty) / count / 1000 for bytes_, count in zip(memory, held, strict=True))
    sizes = f"{held[0]:,} and {held[1]:,} connections in {processes} processes"
    return [
        Figure(
            "client memory per connection, slope",
            slope,
            "kB",
            bar=1.0,
            stretch=0.4,
            detail=f"{sizes}; {empty / processes / 1e6:.1f} MB private per empty process",
        ),
        Figure(
            "memory per connection, large / small",
            large / small,
            bar=1.1,
            stretch=1.0,
            detail=f"{large:.2f} kB / {small:.2f} kB",
        ),
        Figure(
            "CPU per message, large / small",
            costs[1] / costs[0],
            bar=1.1,
            stretch=1.0,
            detail=f"{costs[1]:.2f} us / {costs[0]:.2f} us",
        ),
    ]
