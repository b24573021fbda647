"""Client CPU per full connect: TCP, upgrade, Engine.IO, Socket.IO, subscribe acknowledgement; a herd against C.

Every round opens as many sessions with each client in turn, at one pace, and resets them again (not measured).
"""

from __future__ import annotations

from tests.bench.figure import Figure
from tests.bench.programs import Client, Crowd, Server, c_client, herd
from tests.bench.scale import Scale


def run(scale: Scale) -> list[Figure]:
    """Measure."""
    with Server() as server:
        clients = [c_client(server, 0), herd(server, 1)]
        clients += [herd(server, 2 + number, f"herd of {tree}", tree=tree) for number, tree in enumerate(scale.trees)]
        with Crowd(clients):
            for client in clients:
                _us_per_connect(client, scale)  # to warm up
            rounds = [[_us_per_connect(client, scale) for client in clients] for _ in range(scale.rounds)]
    c, ours, *others = zip(*rounds, strict=True)
    detail = f"C {sum(c) / len(c):.1f} us, herd {sum(ours) / len(ours):.1f} us per connect"
    ratios = [mine / other for mine, other in zip(ours, c, strict=True)]
    figures = [Figure.of("connect CPU, herd / C", ratios, bar=2.0, stretch=1.3, detail=detail)]
    for tree, values in zip(scale.trees, others, strict=True):
        against_c = [value / other for value, other in zip(values, c, strict=True)]
        against_ours = [value / mine for value, mine in zip(values, ours, strict=True)]
        figures.append(Figure.of(f"connect CPU, herd of {tree} / C", against_c, bar=2.0, stretch=1.3))
        figures.append(Figure.of(f"connect CPU, herd of {tree} / herd", against_ours))
    return figures


def _us_per_connect(client: Client, scale: Scale) -> float:
    before = client.cpu_ns()
    client.connect(scale.connects)
    used_ns = client.cpu_ns() - before
    client.close()
    return used_ns / scale.connects / 1e3
