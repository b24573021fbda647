"""The delivery ledger of one worker: for every message, which of its eligible subscribers got it.

    herd --received--> [ledger] <--announced-- publisher (by way of the master)
                          | after the deadline
                          v
                  expected = delivered + lost, counted apart and compared (`imbalance` must stay 0)

Laws
 1. Eligible for m: subscription acknowledged at or before s_m and not lost at s_m (METRICS.md, E_m).
 2. A message is lost at its deadline, not before; a copy received later is `late`, never a delivery. When the books
    are closed makes no difference to what is in them.
 3. Expected comes from the membership's step function, lost from asking every subscription: two ways, one answer.
 4. A marker whose message no publisher announced is foreign; of its copies nothing else is counted. Of two markers
    with one number the first is believed until the announcement says which is true.
 5. Memory is bounded by the deadline: books close, streams cut their links, history is pruned. What stays is one
    small stream per channel and publisher.

A *subscription* is one (client, channel) pair, numbered densely by the caller. The state of one, per epoch:
    held[s] = book     has every eligible message of the stream up to that book: the fast path
    apart[s][epoch]    its progress in every other epoch, and where it has a gap
    neither            nothing received yet since it subscribed
"""

from __future__ import annotations

from array import array
from collections import Counter
from typing import Any, NamedTuple

from loadtest.clock import NS_PER_S
from loadtest.metrics.absence import Absences
from loadtest.metrics.book import Book, Stream
from loadtest.metrics.delivery import CLASSES, Delivery
from loadtest.metrics.history import History, Past
from loadtest.metrics.membership import Membership
from loadtest.metrics.progress import Progress

NOT_SUBSCRIBED = 0
GRACE_NS = 2 * NS_PER_S
"""How long after its deadline a book stays open for the publisher's announcement to arrive."""

PRUNE_NS = NS_PER_S
"""How often what is no longer needed is forgotten: it takes a look at every channel."""

MOST_AHEAD = 10_000
"""How far a received sequence number may be ahead of the last announced one."""

MOST_UNANNOUNCED = 50_000
"""How many books may wait for their announcement: bounds what a hostile target can open."""


class Announced(NamedTuple):
    """What a publisher tells of one message it has sent."""

    channel: int
    epoch: int
    seq: int
    sched_ns: int
    late_ns: int


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
        self._open: list[Book] = []
        self._unannounced = 0
        self._pruned_ns = 0
        self._apart: dict[int, dict[int, Progress]] = {}
        self._history = History()
        self._absences = Absences()
        self._delivery = Delivery()
        self._settled_ns = -1
        """Messages scheduled up to here are over, announced or not."""

    # --- subscriptions -----------------------------------------------------------------------------------------

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

    def is_assigned(self, subscription: int) -> bool:
        """Whether `subscription` belongs to a channel."""
        return self._channel_of[subscription] >= 0

    def subscribed(self, subscription: int, at_ns: int) -> None:
        """Count `subscription` as eligible from `at_ns` on."""
        if self.since[subscription] == NOT_SUBSCRIBED:
            channel = self._channel_of[subscription]
            self.since[subscription] = self._membership[channel].change(at_ns, +1)
            self._absences.returned(channel, subscription, self.since[subscription])

    def dropped(self, subscription: int, at_ns: int) -> None:
        """Count `subscription` as lost at `at_ns`; what it had is remembered until the open books close."""
        since_ns = self.since[subscription]
        if since_ns == NOT_SUBSCRIBED:
            return
        channel = self._channel_of[subscription]
        until_ns = self._membership[channel].change(at_ns, -1)
        apart = self._apart.pop(subscription, None)
        self._absences.left(channel, subscription, until_ns)
        self._history.remember(Past(channel, subscription, since_ns, until_ns, self.held[subscription], apart))
        self.held[subscription] = None
        self.since[subscription] = NOT_SUBSCRIBED

    # --- messages ----------------------------------------------------------------------------------------------

    def book(self, channel: int, epoch: int, seq: int, sched_ns: int, late_ns: int, now_ns: int) -> Book | None:
        """Return the book of a received marker, opening it if new; None (counted as late or foreign) if it has none."""
        stream = self._streams.get((channel, epoch))
        found = None if stream is None else stream.find(seq)
        if found is not None:
            if (found.sched_ns, found.late_ns) == (sched_ns, late_ns):
                return found
        elif stream is not None and stream.is_old(seq):
            self._delivery.counts["late"] += 1
            return None
        elif (
            0 <= channel < len(self._group)
            and now_ns - self._deadline_ns - GRACE_NS < sched_ns <= now_ns + NS_PER_S
            and 0 <= late_ns <= self._deadline_ns + GRACE_NS
            and 0 <= seq < (-1 if stream is None else stream.top) + MOST_AHEAD
            and self._unannounced < MOST_UNANNOUNCED
        ):
            return self._enter(Announced(channel, epoch, seq, sched_ns, late_ns))
        self._delivery.counts["foreign"] += 1
        return None

    def _enter(self, message: Announced) -> Book:
        stream = self._streams.get(message[:2])
        if stream is None:
            stream = self._streams[message[:2]] = Stream()
        book = Book(message.channel, self._group[message.channel], *message[1:])
        stream.add(book)
        self._open.append(book)
        self._unannounced += 1
        return book

    def announce(self, message: Announced) -> None:
        """Enter a message its publisher has sent: from now on it is expected by all who are eligible."""
        stream = self._streams.get(message[:2])
        book = None if stream is None else stream.find(message.seq)
        if stream is not None and book is not None and (book.sched_ns, book.late_ns) != message[3:]:
            if book.announced:
                self._delivery.counts["announced_twice"] += 1
                return
            self._void(book, stream)  # an imitation came first
            book = None
        if book is None:
            too_late = message.sched_ns <= self._settled_ns or (stream is not None and stream.is_old(message.seq))
            if too_late or not 0 <= message.channel < len(self._group):
                self._delivery.counts["announced_late"] += 1
                return
            book = self._enter(message)
        if not book.announced:
            book.announced = True
            self._unannounced -= 1
            stream = self._streams[message[:2]]
            stream.top = max(stream.top, message.seq)

    def received(self, subscription: int, book: Book, now_ns: int) -> bool:
        """Enter a copy that the fast path (`held[s] is book.prev`) did not take.

        Returns:
            True when the subscription was eligible, and this was its first copy and in time.
        """
        since_ns = self.since[subscription]
        if book.closed or now_ns > book.sched_ns + self._deadline_ns:
            self._note(book, "late")
        elif self._channel_of[subscription] != book.channel:
            self._note(book, "misrouted")
        elif since_ns == NOT_SUBSCRIBED or book.sched_ns < since_ns:
            return self._replay(subscription, book, now_ns)
        elif self._begins(subscription, book):
            self.held[subscription] = book
            book.times.append(now_ns)
            return True
        elif not self._advance(subscription, book):
            self._note(book, "duplicated")
        else:
            book.times.append(now_ns)
            return True
        return False

    def _note(self, book: Book, kind: str) -> None:
        """Count a copy that is no delivery: with its book, or at once if that is closed."""
        if book.closed:
            self._delivery.counts["foreign" if book.void else kind] += 1
        else:
            book.note(kind)

    def _replay(self, subscription: int, book: Book, now_ns: int) -> bool:
        """Enter a copy of a message older than the subscription: owed to an earlier one, or to nobody."""
        past = self._history.owed(subscription, book)
        if past is None:
            if self._absences.covers(subscription, book.sched_ns):
                book.caught_up = book.caught_up or set()
                book.caught_up.add(subscription)
            self._note(book, "early" if self.since[subscription] == NOT_SUBSCRIBED else "extra")
            return False
        if past.has(book):
            self._note(book, "duplicated")
            return False
        floor = self._streams[book.channel, book.epoch].floor
        past.keep(book.epoch, (past.progress(book.epoch) or Progress(floor, 0)).plus(book.seq))
        book.replayed += 1
        book.times.append(now_ns)
        return True

    # --- the progress of a subscription ------------------------------------------------------------------------

    def _begins(self, subscription: int, book: Book) -> bool:
        """Whether `_advance` would do no more than hold `book`: the first since the subscription began, as a canary."""
        if self.held[subscription] is not None or subscription in self._apart:
            return False
        stream = self._streams[book.channel, book.epoch]
        return book.seq == stream.floor + 1 and book.seq + 1 not in stream.books

    def _progress(self, subscription: int, epoch: int) -> Progress | None:
        held = self.held[subscription]
        if held is not None and held.epoch == epoch:
            return Progress(held.seq, 0)
        apart = self._apart.get(subscription)
        return None if apart is None else apart.get(epoch)

    def _advance(self, subscription: int, book: Book) -> bool:
        """Move the subscription's progress over `book`; return False when it had it already."""
        stream = self._streams[book.channel, book.epoch]
        progress = (self._progress(subscription, book.epoch) or Progress(stream.floor, 0)).raised(stream.floor)
        if progress.has(book.seq):
            return False
        if book.seq < progress.top:
            book.reordered += 1
        progress = progress.plus(book.seq)
        since_ns = self.since[subscription]
        while (after := stream.books.get(progress.base + 1)) is not None and after.sched_ns < since_ns:
            progress = progress.plus(after.seq)  # never due to this subscription
        self._keep(subscription, book.epoch, progress, stream)
        return True

    def _keep(self, subscription: int, epoch: int, progress: Progress, stream: Stream) -> None:
        """Store a progress: as the held book if that says it all, else apart."""
        held = self.held[subscription]
        apart = self._apart.get(subscription, {})
        book = None if progress.above else stream.find(progress.base)
        if book is None:
            apart[epoch] = progress
            if held is not None and held.epoch == epoch:
                self.held[subscription] = None
        else:
            apart.pop(epoch, None)
            if held is not None and held.epoch != epoch:
                apart[held.epoch] = Progress(held.seq, 0)
            self.held[subscription] = book
        if apart:
            self._apart[subscription] = apart
        else:
            self._apart.pop(subscription, None)

    # --- closing -----------------------------------------------------------------------------------------------

    def close(self, now_ns: int) -> None:
        """Fold what was received into the interval, and close every book whose deadline (and grace) has passed."""
        horizon_ns = now_ns - self._deadline_ns
        still_open: list[Book] = []
        touched: set[tuple[int, int]] = set()
        for book in self._open:
            if book.announced:
                self._delivery.fold(book, self._deadline_ns)
                if book.sched_ns < horizon_ns:
                    touched.add((book.channel, book.epoch))
                    self._close(book)
                    continue
            elif book.closed:
                continue
            elif book.sched_ns <= horizon_ns - GRACE_NS:
                self._void(book, self._streams[book.channel, book.epoch])
                continue
            still_open.append(book)
        self._open = still_open
        self._settled_ns = max(self._settled_ns, horizon_ns - GRACE_NS)
        for key in touched:
            self._streams[key].settle()
        if now_ns - self._pruned_ns >= PRUNE_NS:
            self._pruned_ns = now_ns
            self._prune(horizon_ns - 2 * GRACE_NS)

    def _close(self, book: Book) -> None:
        membership = self._membership.get(book.channel)
        expected = membership.at(book.sched_ns) if membership is not None else 0
        eligible, lost = self._count_heads(book, expected)
        traced = book.seq % self._trace_every == 0
        self._delivery.close(book, expected, eligible, lost, traced=traced)
        self._delivery.counts["missed_away"] += self._absences.missed(book.channel, book.sched_ns)
        self._delivery.counts["caught_up"] += len(book.caught_up or ())
        self._streams[book.channel, book.epoch].close(book)

    def _count_heads(self, book: Book, expected: int) -> tuple[Counter[str], Counter[str]]:
        """Ask every subscription that was eligible for `book` whether it lacks it; return both numbers by class.

        Those still subscribed are not asked when as many copies were delivered as expected. Who took an overdue copy
        by the fast path is not known: such losses go to the first class that has room.
        """
        eligible: Counter[str] = Counter()
        lost: Counter[str] = Counter()
        for past in self._history.eligible(book):
            kind = "gone" if self.since[past.subscription] == NOT_SUBSCRIBED else "recovered"
            eligible[kind] += 1
            lost[kind] += not past.has(book)
        if book.delivered == expected >= eligible.total():
            eligible["throughout"] = expected - eligible.total()
            return eligible, lost
        for subscription in self._members.get(book.channel, ()):
            if NOT_SUBSCRIBED < self.since[subscription] <= book.sched_ns:
                eligible["throughout"] += 1
                lost["throughout"] += not self._has(subscription, book)
        overdue = book.overdue
        for kind in CLASSES:
            more = min(overdue, eligible[kind] - lost[kind])
            lost[kind] += more
            overdue -= more
        return eligible, lost

    def _has(self, subscription: int, book: Book) -> bool:
        held = self.held[subscription]
        if held is not None and held.epoch == book.epoch:
            return held.seq >= book.seq
        progress = self._apart.get(subscription, {}).get(book.epoch)
        return progress is not None and progress.has(book.seq)

    def _void(self, book: Book, stream: Stream) -> None:
        """Throw away a book that turned out foreign: nobody has that number now."""
        self._delivery.foreign(book)
        self._unannounced -= 1
        stream.discard(book)
        for subscription in self._members.get(book.channel, ()):
            progress = self._progress(subscription, book.epoch)
            if progress is not None and progress.has(book.seq):
                self._keep(subscription, book.epoch, progress.minus(book.seq), stream)
        for past in self._history.of_channel(book.channel):
            had = past.progress(book.epoch)
            if had is not None and had.has(book.seq):
                past.keep(book.epoch, had.minus(book.seq))

    def _prune(self, before_ns: int) -> None:
        self._history.prune(before_ns)
        self._absences.prune(before_ns)
        for key in [key for key, stream in self._streams.items() if stream.top < 0 and not stream.books]:
            del self._streams[key]
        for subscription in list(self._apart):
            channel = self._channel_of[subscription]
            for epoch, progress in list(self._apart[subscription].items()):
                stream = self._streams.get((channel, epoch))
                if stream is None or progress.top <= stream.floor:
                    del self._apart[subscription][epoch]  # a new start says the same
                elif progress.base < stream.floor:
                    self._apart[subscription][epoch] = progress.raised(stream.floor)
            if not self._apart[subscription]:
                del self._apart[subscription]
        for membership in self._membership.values():
            membership.prune(before_ns)

    def take(self) -> dict[str, Any]:
        """Return the interval's account as plain values (see `Delivery.to_wire`) and start a new one."""
        delivery, self._delivery = self._delivery, Delivery()
        return delivery.to_wire()

    @property
    def open_books(self) -> int:
        """How many messages have not reached their deadline."""
        return len(self._open)
