"""What became of messages in one interval, on one worker: the account that a ledger ships once a second.

Law: everything in it adds up. A copy of a message is counted once, as one of: delivered, duplicated, late, extra
(not eligible), early (not subscribed), misrouted (another channel's), foreign (never announced).
"""

from __future__ import annotations

from array import array
from collections import Counter
from typing import Any

from loadtest.clock import NS_PER_S
from loadtest.metrics.book import Book
from loadtest.metrics.histogram import Histogram, index_of, narrow

CLASSES = ("throughout", "recovered", "gone")
"""Eligible and still subscribed when the book closes; dropped since and subscribed again; dropped and not back."""

MOST_TRACES = 20_000
"""How many traced messages one interval ships at most."""

TRACE_ROW = ("channel", "epoch", "seq", "expected", "buckets", "min_ns", "max_ns")
"""What is said of a traced message in eight bytes each, beside the buckets of its latencies."""


class TraceLog:
    """The traced messages of one interval, all in three blocks: a message more costs the reader next to nothing.

    rows    | channel epoch seq expected 2 min max | channel epoch seq expected 3 min max | ...   8 bytes each
    i, n    | bucket bucket                        | bucket bucket bucket                 | ...   as of a histogram
    """

    def __init__(self) -> None:
        self._rows = array("q")
        self._indices = array("H")
        self._counts: list[int] = []

    def __len__(self) -> int:
        return len(self._rows) // len(TRACE_ROW)

    def add(self, book: Book, expected: int) -> None:
        """Enter a closed message."""
        latencies = book.latencies
        edges = sorted(latencies.counts)
        low_ns, high_ns = (latencies.min_ns, latencies.max_ns) if edges else (0, 0)
        self._rows.extend((book.channel, book.epoch, book.seq, expected, len(edges), low_ns, high_ns))
        self._indices.extend(map(index_of, edges))
        self._counts.extend(map(latencies.counts.__getitem__, edges))

    def to_wire(self) -> dict[str, bytes]:
        """Return the blocks; `Traces.read` reads them."""
        return {"rows": self._rows.tobytes(), "i": self._indices.tobytes(), "n": narrow(self._counts)}


class Delivery:
    """The account of one interval.

    `counts`: copies by kind; expected, delivered, lost; reordered and replayed (of delivered); the same by class;
    missed_away, and caught_up of those (first copies among early and extra); imbalance; announced_late and
    announced_twice (announcements refused); untraced (parts beyond MOST_TRACES).
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.fanout = Histogram()
        self.uncorrected = Histogram()
        self._seconds: dict[int, tuple[list[int], Histogram]] = {}
        self._traces = TraceLog()

    def fold(self, book: Book, deadline_ns: int) -> None:
        """Take the receipts of `book` since the last fold: latencies by time of receipt, and their uncorrected twin."""
        book.fold(deadline_ns, self.fanout, self.uncorrected)

    def foreign(self, book: Book) -> None:
        """Count everything that came with `book` as foreign, and nothing else of it."""
        self.counts["foreign"] += len(book.times) + sum(book.noted.values())
        book.times, book.noted = [], {}

    def close(self, book: Book, expected: int, eligible: Counter[str], lost: Counter[str], *, traced: bool) -> None:
        """Enter the end of a folded book: `eligible` and `lost` by class are the count of heads, `expected` is not."""
        counts = self.counts
        all_lost = lost.total()
        counts["imbalance"] += abs(expected - book.delivered - all_lost)
        counts["expected"] += expected
        counts["delivered"] += book.delivered
        counts["lost"] += all_lost
        counts["reordered"] += book.reordered
        counts["replayed"] += book.replayed
        for kind, copies in book.noted.items():
            counts[kind] += copies
        for kind, members in eligible.items():
            counts[kind + ".expected"] += members
            counts[kind + ".delivered"] += members - lost[kind]
        numbers, latencies = self._seconds.setdefault(book.sched_ns // NS_PER_S, ([0, 0, 0], Histogram()))
        for index, value in enumerate((expected, book.delivered, all_lost)):
            numbers[index] += value
        latencies.add(book.latencies)
        if traced and expected and len(self._traces) >= MOST_TRACES:
            counts["untraced"] += 1
        elif traced and expected:
            self._traces.add(book, expected)

    def to_wire(self) -> dict[str, Any]:
        """Return the account as plain values (`Books.merge` reads it).

        Keys: `counts`, `fanout` (latencies by time of receipt), `uncorrected` (of the same receipts), `seconds`
        ({scheduled second: [expected, delivered, lost, latencies]}), `traces` (of closed messages, see `TraceLog`).
        """
        return {
            "counts": dict(self.counts),
            "fanout": self.fanout.to_wire(),
            "uncorrected": self.uncorrected.to_wire(),
            "seconds": {second: [*numbers, hist.to_wire()] for second, (numbers, hist) in self._seconds.items()},
            "traces": self._traces.to_wire(),
        }
