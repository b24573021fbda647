"""The delivery ledger of one worker: for every message, which of its eligible subscribers got it.

    herd --received--> [ledger] <--announced-- publisher (by way of the master)
                          | after the deadline
                          v
                  expected = delivered + lost, counted apart and compared (`imbalance` must stay 0)

Laws
 1. Eligible for m: subscription acknowledged at or before s_m and not lost at s_m (METRICS.md, E_m).
 2. A message is lost at its deadline, not before; a copy that comes later is `late`, never a delivery.
 3. Expected comes from the membership's step function, lost from asking every subscription: two ways, one answer.
 4. A marker whose message no publisher announced is foreign; its deliveries and latencies are thrown away.
 5. Memory is bounded by the deadline: books close, streams cut their links, history is pruned.

A *subscription* is one (client, channel) pair, numbered densely by the caller. The state of one:
    held[s] = book     has every eligible message of the stream up to that book: the fast path
    track[s]           has a gap: the last sequence number and the missing ones
    neither            nothing received yet since it subscribed
"""

from __future__ import annotations

from array import array
from collections import Counter, deque
from itertools import chain
from typing import Any, NamedTuple

from loadtest.clock import NS_PER_S
from loadtest.metrics.book import Book, Stream
from loadtest.metrics.histogram import Histogram
from loadtest.metrics.membership import Membership

NOT_SUBSCRIBED = 0
GRACE_NS = 2 * NS_PER_S
"""How long after its deadline a book stays open for the publisher's announcement to arrive."""

MOST_AHEAD = 10_000
"""How far a received sequence number may be ahead of the last announced one."""

CLASSES = ("throughout", "recovered", "gone")


class Announced(NamedTuple):
    """What a publisher tells of one message it has sent."""

    channel: int
    epoch: int
    seq: int
    sched_ns: int
    late_ns: int


class _Track:
    """A subscription with a gap: highest sequence number received, and those missing below it."""

    __slots__ = ("epoch", "last", "missing")

    def __init__(self, epoch: int, last: int, missing: set[int]) -> None:
        self.epoch = epoch
        self.last = last
        self.missing = missing


class _Past(NamedTuple):
    """What a subscription had when it was lost (or when its stream's epoch changed)."""

    until_ns: int
    subscription: int
    since_ns: int
    epoch: int
    last: int
    missing: frozenset[int]
    dropped: bool

    def has(self, book: Book) -> bool:
        return self.epoch == book.epoch and self.last >= book.seq and book.seq not in self.missing


class Ledger:
    """Keep the books of one worker's subscriptions.

    Args:
        channel_group: for each channel number the group it belongs to (a client holds one subscription per group).
        deadline_ns: a message not received by s_m + deadline is lost.
        trace_every: time to k % is followed for every n-th message of a channel (1 = all).
    """

    def __init__(self, channel_group: list[int], deadline_ns: int, trace_every: int = 1) -> None:
        self.held: list[Book | None] = []
        self.since = array("q")
        self._channel_of = array("i")
        self._group = channel_group
        self._deadline_ns = deadline_ns
        self._trace_every = max(1, trace_every)
        self._members: dict[int, list[int]] = {}
        self._membership: dict[int, Membership] = {}
        self._streams: dict[tuple[int, int], Stream] = {}
        self._open: deque[Book] = deque()
        self._track: dict[int, _Track] = {}
        self._past: dict[int, dict[int, list[_Past]]] = {}
        self._past_order: deque[tuple[int, int, int]] = deque()
        self._replayed: set[tuple[int, Book]] = set()
        self._settle()

    def _settle(self) -> None:
        """Start a new interval's account."""
        self._counts: Counter[str] = Counter()
        self._fanout = Histogram()
        self._uncorrected = Histogram()
        self._seconds: dict[int, tuple[list[int], Histogram]] = {}
        self._traces: list[list[Any]] = []

    # --- subscriptions -----------------------------------------------------------------------------------------------

    def grow(self, subscriptions: int) -> None:
        """Make room for subscriptions numbered below `subscriptions`."""
        more = subscriptions - len(self.held)
        self.held.extend([None] * more)
        self.since.extend([NOT_SUBSCRIBED] * more)
        self._channel_of.extend([-1] * more)

    def assign(self, subscription: int, channel: int) -> None:
        """Say once which channel `subscription` belongs to."""
        if self._channel_of[subscription] == channel:
            return
        self._channel_of[subscription] = channel
        self._members.setdefault(channel, []).append(subscription)
        self._membership.setdefault(channel, Membership())

    def subscribed(self, subscription: int, at_ns: int) -> None:
        """Count `subscription` as eligible from `at_ns` on."""
        if self.since[subscription] != NOT_SUBSCRIBED:
            return
        self.since[subscription] = self._membership[self._channel_of[subscription]].change(at_ns, +1)

    def dropped(self, subscription: int, at_ns: int) -> None:
        """Count `subscription` as lost at `at_ns`; what it had is remembered until the open books close."""
        since = self.since[subscription]
        if since == NOT_SUBSCRIBED:
            return
        until_ns = self._membership[self._channel_of[subscription]].change(at_ns, -1)
        self._remember(subscription, until_ns, dropped=True)
        self.since[subscription] = NOT_SUBSCRIBED

    def _remember(self, subscription: int, at_ns: int, *, dropped: bool) -> None:
        held, track = self.held[subscription], self._track.pop(subscription, None)
        epoch, last, missing = -1, -1, frozenset[int]()
        if held is not None:
            epoch, last = held.epoch, held.seq
        elif track is not None:
            epoch, last, missing = track.epoch, track.last, frozenset(track.missing)
        channel = self._channel_of[subscription]
        past = _Past(at_ns, subscription, self.since[subscription], epoch, last, missing, dropped)
        self._past.setdefault(channel, {}).setdefault(subscription, []).append(past)
        self._past_order.append((at_ns, channel, subscription))
        self.held[subscription] = None

    # --- messages ----------------------------------------------------------------------------------------------------

    def book(self, channel: int, epoch: int, seq: int, sched_ns: int, late_ns: int, now_ns: int) -> Book | None:
        """Return the book of a received marker, opening it if new; None (counted as foreign) if it cannot be ours."""
        found = self._find(channel, epoch, seq)
        if found is not None:
            if found.sched_ns == sched_ns:
                return found
        elif self._is_old(channel, epoch, seq):
            self._counts["late"] += 1
            return None
        elif (
            0 <= channel < len(self._group)
            and now_ns - self._deadline_ns - GRACE_NS <= sched_ns <= now_ns + NS_PER_S
            and 0 <= late_ns <= self._deadline_ns + GRACE_NS
            and self._is_near(channel, epoch, seq)
        ):
            return self._enter(channel, epoch, seq, sched_ns, late_ns)
        self._counts["foreign"] += 1
        return None

    def _is_near(self, channel: int, epoch: int, seq: int) -> bool:
        """Whether a marker that came before its announcement is plausible; bounds what a hostile target can open."""
        stream = self._streams.get((channel, epoch))
        if stream is None:
            return 0 <= seq < MOST_AHEAD and len(self._streams) < 4 * len(self._group) + 64
        return seq < stream.top + MOST_AHEAD

    def _is_old(self, channel: int, epoch: int, seq: int) -> bool:
        stream = self._streams.get((channel, epoch))
        return stream is not None and seq <= stream.floor

    def _stream(self, channel: int, epoch: int) -> Stream:
        stream = self._streams.get((channel, epoch))
        if stream is None:
            stream = self._streams[channel, epoch] = Stream()
        return stream

    def _find(self, channel: int, epoch: int, seq: int) -> Book | None:
        stream = self._streams.get((channel, epoch))
        return None if stream is None else stream.find(seq)

    def _enter(self, channel: int, epoch: int, seq: int, sched_ns: int, late_ns: int) -> Book:
        book = Book(channel, self._group[channel], epoch, seq, sched_ns, late_ns)
        self._stream(channel, epoch).add(book)
        self._open.append(book)
        return book

    def announce(self, message: Announced) -> None:
        """Enter a message its publisher has sent: from now on it is expected by all who are eligible."""
        book = self._find(message.channel, message.epoch, message.seq)
        if book is None:
            if not 0 <= message.channel < len(self._group) or self._is_old(*message[:3]):
                self._counts["announced_late"] += 1
                return
            book = self._enter(*message)
        elif (book.sched_ns, book.late_ns) != (message.sched_ns, message.late_ns):
            if book.announced or book.closed:
                self._counts["announced_twice"] += 1
                return
            # An imitation came first, with other times: its receipts are not ours.
            self._counts["foreign"] += len(book.times)
            book.sched_ns, book.late_ns, book.times = message.sched_ns, message.late_ns, []
        book.announced = True
        stream = self._stream(book.channel, book.epoch)
        stream.top = max(stream.top, book.seq)

    def received(self, subscription: int, book: Book, now_ns: int) -> bool:
        """Enter a copy that the fast path (`held[s] is book.prev`) did not take.

        Returns:
            True when the subscription was eligible and this was its first copy.
        """
        if self._channel_of[subscription] != book.channel or self.since[subscription] == NOT_SUBSCRIBED:
            self._counts["misrouted" if self._channel_of[subscription] != book.channel else "early"] += 1
            return False
        if book.sched_ns < self.since[subscription]:
            return self._before_subscribing(subscription, book, now_ns)
        fresh = self._advance(subscription, book, now_ns)
        if not fresh:
            self._counts["duplicated"] += 1
        elif book.closed:
            self._counts["late"] += 1
        else:
            book.times.append(now_ns)
            return True
        return False

    def _before_subscribing(self, subscription: int, book: Book, now_ns: int) -> bool:
        """A copy of a message older than the subscription: a replay of what an earlier one missed, or an extra."""
        for past in self._past.get(book.channel, {}).get(subscription, ()):
            if past.since_ns <= book.sched_ns < past.until_ns and past.dropped:
                if past.has(book) or (subscription, book) in self._replayed:
                    self._counts["duplicated"] += 1
                    return False
                if book.closed:
                    self._counts["late"] += 1
                    return False
                self._replayed.add((subscription, book))
                book.replayed += 1
                book.times.append(now_ns)
                return True
        self._counts["extra"] += 1
        return False

    def _advance(self, subscription: int, book: Book, now_ns: int) -> bool:
        """Move the subscription's state over `book`; return False when it had it already."""
        held, track = self.held[subscription], self._track.get(subscription)
        epoch = held.epoch if held is not None else track.epoch if track is not None else None
        stream = self._stream(book.channel, book.epoch)
        if epoch is not None and epoch != book.epoch:
            self._remember(subscription, now_ns, dropped=False)
            held = track = None
        if held is not None:
            if book.seq <= held.seq:
                return False
            track = _Track(book.epoch, held.seq, set())
        elif track is None:
            track = _Track(book.epoch, stream.floor, set())
            self._skip(track, stream, book.seq, self.since[subscription])
            track.last = book.seq
            self._keep(subscription, track, stream)
            return True
        if book.seq > track.last:
            track.missing.update(range(max(track.last, stream.floor) + 1, book.seq))
            track.last = book.seq
        elif book.seq in track.missing:
            track.missing.discard(book.seq)
            self._counts["reordered"] += 1
        elif book.seq <= stream.floor:
            return True  # closed as lost before it came; `received` counts it as late
        else:
            return False
        self._keep(subscription, track, stream)
        return True

    @staticmethod
    def _skip(track: _Track, stream: Stream, seq: int, since_ns: int) -> None:
        """Note as missing what an eligible subscription should have had before its first message `seq`."""
        for earlier in range(stream.floor + 1, seq):
            known = stream.books.get(earlier)
            if known is None or known.sched_ns >= since_ns:
                track.missing.add(earlier)

    def _keep(self, subscription: int, track: _Track, stream: Stream) -> None:
        """Store the state in its cheapest form."""
        if track.missing:
            track.missing = {seq for seq in track.missing if seq > stream.floor}
        last = None if track.missing else stream.find(track.last)
        self.held[subscription] = last
        if last is None:
            self._track[subscription] = track
        else:
            self._track.pop(subscription, None)

    # --- closing -----------------------------------------------------------------------------------------------------

    def close(self, now_ns: int) -> None:
        """Fold what was received into the interval, and close every book whose deadline (and grace) has passed."""
        for book in self._open:
            if book.announced:
                fresh = book.fold()
                if fresh is not None:
                    self._fanout.add(fresh)
        keep: deque[Book] = deque()
        horizon = now_ns - self._deadline_ns
        for book in self._open:
            if book.sched_ns <= horizon and (book.announced or book.sched_ns <= horizon - GRACE_NS):
                self._close(book)
            else:
                keep.append(book)
        self._open = keep
        self._prune(horizon - 2 * GRACE_NS)

    def _close(self, book: Book) -> None:
        stream = self._stream(book.channel, book.epoch)
        if not book.announced:
            self._counts["foreign"] += len(book.times)
            book.times = []
            stream.close(book)
            return
        membership = self._membership.get(book.channel)
        expected = membership.at(book.sched_ns) if membership is not None else 0
        delivered = book.delivered
        lost = 0
        if delivered == expected and not book.replayed:
            self._tally("throughout", expected, delivered)
        else:
            lost = self._settle_losses(book, delivered)
        self._counts["imbalance"] += abs(expected - delivered - lost)
        self._counts["expected"] += expected
        self._counts["delivered"] += delivered
        self._counts["lost"] += lost
        numbers, latencies = self._seconds.setdefault(book.sched_ns // NS_PER_S, ([0, 0, 0], Histogram()))
        for index, value in enumerate((expected, delivered, lost)):
            numbers[index] += value
        latencies.add(book.latencies)
        self._uncorrected.add(book.latencies.shifted(-book.late_ns))
        if book.seq % self._trace_every == 0:
            self._traces.append([book.channel, book.epoch, book.seq, expected, book.latencies.to_wire()])
        stream.close(book)

    def _tally(self, kind: str, expected: int, delivered: int) -> None:
        self._counts[kind + ".expected"] += expected
        self._counts[kind + ".delivered"] += delivered

    def _settle_losses(self, book: Book, delivered: int) -> int:
        """Ask every subscription of the channel whether it has `book`; return how many eligible ones lack it."""
        eligible: Counter[str] = Counter()
        lost: Counter[str] = Counter()
        since = self.since
        for subscription in self._members.get(book.channel, ()):
            if NOT_SUBSCRIBED < since[subscription] <= book.sched_ns:
                eligible["throughout"] += 1
                if not self._has(subscription, book):
                    lost["throughout"] += 1
        for past in chain.from_iterable(self._past.get(book.channel, {}).values()):
            if past.dropped and past.since_ns <= book.sched_ns < past.until_ns:
                kind = "gone" if since[past.subscription] == NOT_SUBSCRIBED else "recovered"
                eligible[kind] += 1
                if not past.has(book) and (past.subscription, book) not in self._replayed:
                    lost[kind] += 1
        for kind in CLASSES:
            self._tally(kind, eligible[kind], eligible[kind] - lost[kind])
        return sum(lost.values())

    def _has(self, subscription: int, book: Book) -> bool:
        held, track = self.held[subscription], self._track.get(subscription)
        if held is not None and held.epoch == book.epoch:
            return held.seq >= book.seq
        if track is not None and track.epoch == book.epoch:
            return track.last >= book.seq and book.seq not in track.missing
        return any(past.has(book) for past in self._past.get(book.channel, {}).get(subscription, ()))

    def _prune(self, before_ns: int) -> None:
        while self._past_order and self._past_order[0][0] < before_ns:
            _, channel, subscription = self._past_order.popleft()
            entries = self._past[channel][subscription]
            del entries[0]
            if not entries:
                del self._past[channel][subscription]
        for key in [key for key, stream in self._streams.items() if stream.top < 0 and not stream.books]:
            del self._streams[key]
        if self._replayed:
            self._replayed = {entry for entry in self._replayed if not entry[1].closed}
        for membership in self._membership.values():
            membership.prune(before_ns)

    def take(self) -> dict[str, Any]:
        """Return the interval's account as plain values and start a new one (`Books.merge` reads it).

        Keys: `counts` (see `received`, `_close`), `fanout` (by time of receipt), `uncorrected`, `seconds`
        ({scheduled second: [expected, delivered, lost, latencies]}), `traces` ([channel, epoch, seq, expected,
        latencies] of closed messages).
        """
        account = {
            "counts": dict(self._counts),
            "fanout": self._fanout.to_wire(),
            "uncorrected": self._uncorrected.to_wire(),
            "seconds": {second: [*numbers, hist.to_wire()] for second, (numbers, hist) in self._seconds.items()},
            "traces": self._traces,
        }
        self._settle()
        return account

    @property
    def open_books(self) -> int:
        """How many messages have not reached their deadline."""
        return len(self._open)
