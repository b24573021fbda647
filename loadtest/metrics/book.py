"""One published message as one worker sees it, and the stream (channel, epoch) it belongs to.

stream:  ... <- book 41 <- book 42 <- book 43        `prev` links, cut when a book closes
a subscription that has everything up to 42 holds 42; receiving 43 is `held is book.prev`: one comparison says
right channel, right epoch, next in order, eligible. Everything else takes the ledger's slow path.
"""

from __future__ import annotations

from loadtest.metrics.histogram import Histogram


class Book:
    """The account of one message: when it was scheduled, who has it, how late.

    Attributes:
        sched_ns: scheduled time of publish (METRICS.md: s_m). late_ns: actual send - scheduled.
        times: receive times of first copies to eligible subscriptions, not yet folded into `latencies`.
        delivered: first copies folded so far. replayed: of these, how many came after a drop (session recovery).
        announced: the publisher itself has told of this message; until then its marker may be an imitation.
    """

    __slots__ = (
        "announced",
        "channel",
        "closed",
        "delivered",
        "epoch",
        "group",
        "late_ns",
        "latencies",
        "prev",
        "replayed",
        "sched_ns",
        "seq",
        "times",
    )

    def __init__(self, channel: int, group: int, epoch: int, seq: int, sched_ns: int, late_ns: int) -> None:
        self.channel = channel
        self.group = group
        self.epoch = epoch
        self.seq = seq
        self.sched_ns = sched_ns
        self.late_ns = late_ns
        self.prev: Book | None = None
        self.times: list[int] = []
        self.latencies = Histogram()
        self.delivered = 0
        self.replayed = 0
        self.announced = False
        self.closed = False

    def __repr__(self) -> str:
        return f"Book(channel={self.channel}, epoch={self.epoch}, seq={self.seq}, delivered={self.delivered})"

    def fold(self) -> Histogram | None:
        """Turn the receive times gathered since the last call into latencies; return just those, or None."""
        if not self.times:
            return None
        fresh = Histogram()
        scheduled = self.sched_ns
        fresh.record_many([received - scheduled for received in self.times])
        self.delivered += len(self.times)
        self.times = []
        self.latencies.add(fresh)
        return fresh


class _Cut(Book):
    """The `prev` of a book whose predecessor is unknown or closed: no subscription ever holds it."""

    def __init__(self) -> None:
        super().__init__(-1, -1, -1, -1, 0, 0)


CUT: Book = _Cut()


class Stream:
    """The open books of one (channel, epoch), linked in order of their sequence numbers.

    `floor`: every sequence number at or below it is closed. `tail`: the last closed book, kept to link its successor.
    `top`: the highest sequence number announced by the publisher, -1 before the first.
    """

    __slots__ = ("books", "floor", "tail", "top")

    def __init__(self) -> None:
        self.books: dict[int, Book] = {}
        self.floor = -1
        self.top = -1
        self.tail: Book | None = None

    def add(self, book: Book) -> None:
        """Enter `book` and link it to its neighbours."""
        before = self.books.get(book.seq - 1)
        if before is None and self.tail is not None and self.tail.seq == book.seq - 1:
            before = self.tail
        book.prev = before or CUT
        after = self.books.get(book.seq + 1)
        if after is not None and after.prev is CUT and not after.closed:
            after.prev = book
        self.books[book.seq] = book

    def find(self, seq: int) -> Book | None:
        """Return the book `seq`, open or the last closed one."""
        if self.tail is not None and self.tail.seq == seq:
            return self.tail
        return self.books.get(seq)

    def close(self, book: Book) -> None:
        """Take `book` out of the open ones; its link to the past is cut so that memory stays bounded."""
        book.closed = True
        book.prev = CUT
        self.books.pop(book.seq, None)
        if book.seq > self.floor:
            self.floor = book.seq
            self.tail = book
