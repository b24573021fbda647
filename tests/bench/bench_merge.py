"""What merging a second of 60 workers costs the master: reading their reports, as Locust hands them over, `Books.merge`
of each, and the second's line.

The reports are made by real ledgers: each worker holds connections in rooms and one channel common to all, 100 messages
a second reach rooms, one a second everybody; publishes are up to 2 ms late, so that no latency is its own uncorrected
twin. Ten of its clients a second are new.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgpack

from loadtest.clock import NS_PER_MS, NS_PER_S
from loadtest.herd.account import Account
from loadtest.metrics.books import Books
from loadtest.metrics.histogram import Histogram
from loadtest.metrics.ledger import Announced, Ledger
from loadtest.metrics.receive_queue import ReceiveQueue
from loadtest.metrics.service_recovery import ServiceRecovery
from tests.bench.figure import Figure
from tests.bench.scale import Scale

ROOMS = 200
MEMBERS = 10
MESSAGES_PER_S = 100
EVERYBODY = ROOMS
CLIENTS = ROOMS * MEMBERS
NEW = 10
DEADLINE_NS = 2 * NS_PER_S
ZERO_NS = 1_000 * NS_PER_S


def run(scale: Scale) -> list[Figure]:
    """Measure."""
    seconds: list[list[bytes]] = [[] for _ in range(scale.merge_seconds)]
    for worker in range(scale.merge_workers):
        for second, report in enumerate(_reports(worker, scale.merge_seconds)):
            seconds[second].append(msgpack.dumps(report))
    books = Books(CLIENTS * scale.merge_workers, ZERO_NS, DEADLINE_NS, ServiceRecovery(10))
    books.publishing_from(ZERO_NS)
    shares = []
    for second, reports in enumerate(seconds):
        begun = time.process_time()
        for report in reports:
            books.merge(msgpack.loads(report, raw=False, strict_map_key=False))  # as Locust does it
        books.line(ZERO_NS + (second + 1) * NS_PER_S, "hold")
        shares.append(100 * (time.process_time() - begun))
    steady = shares[scale.merge_seconds // 2 :]  # by then messages have met their deadline
    detail = f"{scale.merge_workers} workers, {MESSAGES_PER_S + 1} messages a second, all of them traced"
    return [Figure.of("master CPU for merging a second", steady, unit="% of a core", bar=5, detail=detail)]


def _reports(worker: int, seconds: int) -> Iterator[dict[str, Any]]:
    """Yield one report a second, as the bridge would send it."""
    rng = random.Random(worker)
    ledger = Ledger([0] * ROOMS + [1], DEADLINE_NS)
    ledger.grow(2 * CLIENTS)
    for client in range(CLIENTS):
        ledger.assign(2 * client, client % ROOMS)
        ledger.assign(2 * client + 1, EVERYBODY)
        for subscription in (2 * client, 2 * client + 1):
            ledger.subscribed(subscription, ZERO_NS - NS_PER_S)
    sequences: Counter[int] = Counter()
    for second in range(seconds):
        start_ns = ZERO_NS + second * NS_PER_S
        for number in range(MESSAGES_PER_S + 1):
            channel = EVERYBODY if number == MESSAGES_PER_S else rng.randrange(ROOMS)
            sched_ns = start_ns + number * NS_PER_S // (MESSAGES_PER_S + 1)
            late_ns = round(rng.random() * 2 * NS_PER_MS)
            message = Announced(channel, 1, sequences[channel], sched_ns, late_ns)
            sequences[channel] += 1
            members = range(CLIENTS) if channel == EVERYBODY else range(channel, CLIENTS, ROOMS)
            spread_ns = 200 * NS_PER_MS if channel == EVERYBODY else 10 * NS_PER_MS
            times = sorted(sched_ns + late_ns + NS_PER_MS + round(rng.random() * spread_ns) for _ in members)
            for client, now in zip(members, times, strict=True):
                book = ledger.book(*message, now)
                assert book is not None
                ledger.received(2 * client + (channel == EVERYBODY), book, now)
            ledger.announce(message)
        now = start_ns + NS_PER_S
        ledger.close(now)
        lag, lateness, account = Histogram(), Histogram(), Account()
        lag.record_many([round(rng.random() * 3 * NS_PER_MS) for _ in range(100)])
        lateness.record_many([round(rng.random() * 2 * NS_PER_MS) for _ in range(2)])
        account.counts.update(attempts=NEW, connected=NEW, subscribed=NEW)
        for histogram in (account.connect, account.subscribe, account.ack, account.lateness):
            histogram.record_many([round(rng.random() * 20 * NS_PER_MS) for _ in range(NEW)])
        yield {
            "worker": worker,
            "seq": second + 1,
            "t_ns": now,
            "final": False,
            "herds": [
                {"connections": {"subscribed": CLIENTS}, "account": account.take(), "ledger": ledger.take()},
            ],
            "publishing": {"published": 2, "unsent": 0, "failures": {}, "lateness": lateness.to_wire()},
            "outages": {},
            "others": [],
            "generator": {
                "lag": lag.to_wire(),
                "receive_queue": ReceiveQueue(lag, 8).to_wire(),
                "cpu_percent": 50.0,
                "rss_bytes": 50_000_000,
                "gc_ms": 1.0,
                "gc_max_ms": 1.0,
                "errors": 0,
            },
        }
