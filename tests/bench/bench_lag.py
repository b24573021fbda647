"""How late timers come in a worker that is about 80 % busy: the Engine of production on gevent's loop.

One server broadcasts texts of which a half differ from client to client (a reader that must decode costs more than a
server that sends, so one server suffices to make a worker busy). A first round measures what a broadcast costs; the
pace is then set to what makes 80 %.
"""

from __future__ import annotations

import json

from loadtest.clock import NS_PER_S, now_ns
from tests.bench import measure
from tests.bench.figure import Figure
from tests.bench.programs import RUN, Client, Server, broadcast, herd
from tests.bench.scale import Scale

BUSY = 0.8
VARY = 2
TRIALS = 3
LEAST, MOST = 70.0, 90.0
MOST_WAITED = 10.0
"""Percent of the time that the worker may wait for a core; above, the lag says something of the machine."""


def run(scale: Scale) -> list[Figure]:
    """Measure."""
    with Server() as server, herd(server, 0, loop="gevent") as client:
        client.connect(scale.lag_connections)
        pace_s = scale.lag_connections * 20e-6
        broadcast([(server, client)], 10, pace_s, VARY)
        before = client.cpu_ns()
        broadcast([(server, client)], 10, pace_s, VARY)
        pace_s = (client.cpu_ns() - before) / 10 / NS_PER_S / BUSY
        lags, busy, waits = [], [], []
        for _ in range(TRIALS):
            account = _hold(server, client, max(10, round(scale.lag_s / TRIALS / pace_s)), pace_s)
            lags.append(account["lag_p99_ms"])
            busy.append(account["cpu_percent"])
            waits.append(account["waited_percent"])
            pace_s *= min(1.5, max(0.7, account["cpu_percent"] / 100 / BUSY))
    detail = f"at {_percents(busy)} % CPU, waiting for a core {_percents(waits)} %"
    trials = zip(lags, busy, waits, strict=True)
    chosen = [lag for lag, percent, waited in trials if LEAST <= percent <= MOST and waited <= MOST_WAITED]
    if not chosen:
        detail += ": no trial was as it should be, so all are counted; try again on a quieter machine"
    return [
        Figure.of("event-loop lag p99 of a busy worker", chosen or lags, unit="ms", bar=20, stretch=5, detail=detail)
    ]


def _percents(values: list[float]) -> str:
    return ", ".join(f"{value:.0f}" for value in values)


def _hold(server: Server, client: Client, count: int, pace_s: float) -> dict[str, float]:
    """Broadcast for a while; return the engine's account of just that time."""
    client.quiet()
    client.epoch += 1
    start_ns, pace_ns = now_ns() + NS_PER_S // 50, round(pace_s * NS_PER_S)
    client.say(f"announce {client.epoch} 0 {start_ns} {pace_ns} {count}")
    client.ask("account", "account")
    waited_ns, begun_ns = measure.waited_ns(client.pid), now_ns()
    server.say(f"broadcast {client.channel} {RUN} {client.epoch} 0 {start_ns} {pace_ns} {count} {VARY}")
    server.hear("done")
    account: dict[str, float] = json.loads(" ".join(client.ask("account", "account")))
    account["waited_percent"] = 100 * (measure.waited_ns(client.pid) - waited_ns) / (now_ns() - begun_ns)
    client.quiet()
    return account
