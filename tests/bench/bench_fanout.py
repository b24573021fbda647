"""Client CPU per received fan-out message: a herd, and the same hot loop without books, against a C epoll reader.

One server, three clients with as many connections each; the server broadcasts to one client at a time, in turn. All
three see the same arrivals: the server sends at its own speed, so none of them is ever behind.
"""

from __future__ import annotations

from tests.bench.figure import Figure
from tests.bench.programs import Client, Crowd, Server, broadcast, c_client, herd
from tests.bench.scale import Scale

BOOKS_BAR = 1.3


def run(scale: Scale) -> list[Figure]:
    """Measure."""
    with Server() as server:
        clients = [c_client(server, 0), herd(server, 1), herd(server, 2, "herd without books", books=False)]
        clients += [herd(server, 3 + number, f"herd of {tree}", tree=tree) for number, tree in enumerate(scale.trees)]
        each = min(scale.fanout_connections, scale.per_process // len(clients))
        with Crowd(clients):
            for client in clients:
                client.connect(each)
                _us_per_message(server, client, each, scale.broadcasts)  # to warm up
            rounds = [
                [_us_per_message(server, client, each, scale.broadcasts) for client in clients]
                for _ in range(scale.rounds)
            ]
    c, ours, bare, *others = zip(*rounds, strict=True)
    detail = f"C {_mean(c):.2f} us, herd {_mean(ours):.2f} us per message"
    figures = [
        Figure.of("fan-out CPU, herd / C", _ratios(ours, c), bar=1.6, stretch=1.2, detail=detail),
        Figure.of("fan-out CPU, herd / herd without books", _ratios(ours, bare), bar=BOOKS_BAR),
    ]
    for tree, other in zip(scale.trees, others, strict=True):
        figures.append(Figure.of(f"fan-out CPU, herd of {tree} / C", _ratios(other, c), bar=1.6, stretch=1.2))
        figures.append(Figure.of(f"fan-out CPU, herd of {tree} / herd", _ratios(other, ours)))
    return figures


def _us_per_message(server: Server, client: Client, connections: int, broadcasts: int) -> float:
    client.quiet()
    before = client.cpu_ns()
    messages = broadcast([(server, client)], broadcasts, connections * 13e-6)
    return (client.cpu_ns() - before) / messages / 1e3


def _ratios(values: tuple[float, ...], against: tuple[float, ...]) -> list[float]:
    return [value / other for value, other in zip(values, against, strict=True)]


def _mean(values: tuple[float, ...]) -> float:
    return sum(values) / len(values)
