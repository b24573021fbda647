"""Reports as `WorkerBridge.report` sends them, made by the real parts and sent through msgpack."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgpack

from loadtest.clock import NS_PER_MS, NS_PER_S
from loadtest.herd.account import Account
from loadtest.metrics.book import Book
from loadtest.metrics.delivery import TraceLog
from loadtest.metrics.histogram import Histogram
from loadtest.metrics.ledger import Announced, Ledger
from loadtest.metrics.receive_queue import ReceiveQueue

T = 1_000 * NS_PER_S


def histogram(*values_ms: float) -> Histogram:
    filled = Histogram()
    filled.record_many([round(value * NS_PER_MS) for value in values_ms])
    return filled


def traces_wire(*messages: tuple[int, int, int, int, Histogram]) -> dict[str, bytes]:
    """Traced messages: channel, epoch, seq, how many it is owed to, and the latencies of those it reached."""
    log = TraceLog()
    for channel, epoch, seq, expected, latencies in messages:
        book = Book(channel, 0, epoch, seq, 0, 0)
        book.latencies = latencies
        log.add(book, expected)
    return log.to_wire()


def ledger_wire(second: int = 0, latencies_ms: Sequence[float] = (1, 2, 3), missing: int = 1) -> dict[str, Any]:
    """One message in `second` of the run to some subscribers, `missing` of whom do not get it."""
    ledger = Ledger([0], NS_PER_S)
    ledger.grow(len(latencies_ms) + missing)
    for subscription in range(len(ledger.held)):
        ledger.assign(subscription, 0)
        ledger.subscribed(subscription, T - NS_PER_S)
    sent = Announced(0, 1, second, T + second * NS_PER_S, 1_000)
    ledger.announce(sent)
    for subscription, value in enumerate(sorted(latencies_ms)):
        at = sent.sched_ns + round(value * NS_PER_MS)
        book = ledger.book(*sent, at)
        assert book is not None
        ledger.received(subscription, book, at)
    ledger.close(sent.sched_ns + 2 * NS_PER_S)
    return ledger.take()


def account_wire(**counts: int) -> dict[str, Any]:
    account = Account()
    account.counts.update(counts)
    account.failures.update({"refused": 2})
    account.drops.update({"eof": counts.get("drops", 0)})
    account.connect.record(7 * NS_PER_MS)
    account.ack.record(9 * NS_PER_MS)
    return account.take()


def report_wire(worker: int = 0, seq: int = 1, **changes: Any) -> dict[str, Any]:
    """A whole report. `changes`: first_drop_ns, subscribed, ledger, counts, or a key of the report."""
    account = account_wire(**changes.pop("counts", {"attempts": 3, "connected": 2}))
    account["first_drop_ns"] = changes.pop("first_drop_ns", 0)
    herd = {
        "connections": {"idle": 1, "subscribed": changes.pop("subscribed", 4)},
        "account": account,
        "ledger": changes.pop("ledger", None) or ledger_wire(),
    }
    publisher = {"connections": {"subscribed": 4}, "account": account_wire(attempts=4), "ledger": None}
    wire: dict[str, Any] = {
        "worker": worker,
        "seq": seq,
        "t_ns": T + 2 * NS_PER_S,
        "final": False,
        "herds": [herd, publisher],
        "publishing": {
            "published": 5,
            "unsent": 1,
            "failures": dict(Counter(refused=1)),
            "lateness": histogram(0.5).to_wire(),
        },
        "outages": {},
        "others": [],
        "generator": {
            "lag": histogram(0.25).to_wire(),
            "receive_queue": ReceiveQueue(histogram(0.75), 4, 100, 2).to_wire(),
            "cpu_percent": 12.5,
            "rss_bytes": 1 << 26,
            "gc_ms": 0.0,
            "gc_max_ms": 1.5,
            "errors": 0,
        },
    }
    return wire | changes


def through_msgpack(wire: object) -> Any:
    """What arrives of a message: as Locust packs and unpacks it."""
    return msgpack.loads(msgpack.dumps(wire), raw=False, strict_map_key=False)
