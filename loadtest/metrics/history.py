"""What subscriptions had when they were lost, remembered until the books of that time are closed.

Law: the past of a subscription is an interval [since, until) in which it was eligible; two pasts of one subscription
never overlap. A replay after a drop (session recovery) is entered in the past that was owed the message.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from loadtest.metrics.book import Book
from loadtest.metrics.progress import Progress


class Past:
    """One subscription from `since_ns` (acknowledged) to `until_ns` (lost), and its progress by epoch.

    A deploy makes one for each subscription in the same moment: it is one object, without containers of its own, unless
    the subscription had gaps or several epochs.

    Args:
        held: the book that says all the progress of its epoch; None: there is none.
        apart: the progress in every other epoch.
    """

    __slots__ = ("_apart", "_base", "_epoch", "channel", "earlier", "since_ns", "subscription", "until_ns")

    def __init__(
        self,
        channel: int,
        subscription: int,
        since_ns: int,
        until_ns: int,
        held: Book | None,
        apart: dict[int, Progress] | None,
    ) -> None:
        self.channel = channel
        self.subscription = subscription
        self.since_ns = since_ns
        self.until_ns = until_ns
        self.earlier: Past | None = None
        self._apart = apart
        self._epoch: int | None = None
        self._base = 0
        if held is not None:
            self._epoch, self._base = held.epoch, held.seq

    def covers(self, book: Book) -> bool:
        """Whether the subscription was eligible for `book`."""
        return self.since_ns <= book.sched_ns < self.until_ns

    def progress(self, epoch: int) -> Progress | None:
        """Return what the subscription had of an epoch, replays included."""
        if epoch == self._epoch:
            return Progress(self._base, 0)
        return None if self._apart is None else self._apart.get(epoch)

    def keep(self, epoch: int, progress: Progress) -> None:
        """Say anew what the subscription had of an epoch."""
        if epoch == self._epoch:
            self._epoch = None
        self._apart = self._apart or {}
        self._apart[epoch] = progress

    def has(self, book: Book) -> bool:
        """Whether the subscription had `book`, or was given it by a replay."""
        progress = self.progress(book.epoch)
        return progress is not None and progress.has(book.seq)


class History:
    """The pasts of all channels. They are entered in the order of their ends, per channel."""

    def __init__(self) -> None:
        self._of_channel: dict[int, dict[int, Past]] = {}
        """By channel and subscription the latest past; those before it are its `earlier` ones."""
        self._latest_ns: dict[int, int] = {}
        self._order: deque[Past] = deque()

    def __len__(self) -> int:
        return len(self._order)

    def remember(self, past: Past) -> None:
        """Enter a subscription that was just lost."""
        subscriptions = self._of_channel.get(past.channel)
        if subscriptions is None:
            subscriptions = self._of_channel[past.channel] = {}
        past.earlier = subscriptions.get(past.subscription)
        subscriptions[past.subscription] = past
        self._latest_ns[past.channel] = past.until_ns
        self._order.append(past)

    def owed(self, subscription: int, book: Book) -> Past | None:
        """Return the past of `subscription` that was eligible for `book`."""
        past = self._of_channel.get(book.channel, {}).get(subscription)
        while past is not None and not past.covers(book):
            past = past.earlier
        return past

    def eligible(self, book: Book) -> Iterator[Past]:
        """Yield every past that was eligible for `book`. Cost: one access if nobody was lost since its time."""
        if self._latest_ns.get(book.channel, 0) > book.sched_ns:
            for past in self.of_channel(book.channel):
                if past.covers(book):
                    yield past

    def of_channel(self, channel: int) -> Iterator[Past]:
        """Yield every past of `channel`."""
        for latest in self._of_channel.get(channel, {}).values():
            past: Past | None = latest
            while past is not None:
                yield past
                past = past.earlier

    def prune(self, before_ns: int) -> None:
        """Forget what ended before `before_ns`."""
        while self._order and self._order[0].until_ns < before_ns:
            past = self._order.popleft()
            subscriptions = self._of_channel[past.channel]
            later = subscriptions[past.subscription]
            if later is past:
                del subscriptions[past.subscription]
                continue
            while later.earlier is not past:
                assert later.earlier is not None
                later = later.earlier
            later.earlier = None
