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
    """One subscription from `since_ns` (acknowledged) to `until_ns` (lost), and its progress by epoch."""

    __slots__ = ("channel", "progress", "since_ns", "subscription", "until_ns")

    def __init__(
        self, channel: int, subscription: int, since_ns: int, until_ns: int, progress: dict[int, Progress]
    ) -> None:
        self.channel = channel
        self.subscription = subscription
        self.since_ns = since_ns
        self.until_ns = until_ns
        self.progress = progress

    def covers(self, book: Book) -> bool:
        """Whether the subscription was eligible for `book`."""
        return self.since_ns <= book.sched_ns < self.until_ns

    def has(self, book: Book) -> bool:
        """Whether the subscription had `book`, or was given it by a replay."""
        progress = self.progress.get(book.epoch)
        return progress is not None and progress.has(book.seq)


class History:
    """The pasts of all channels. They are entered in the order of their ends, per channel."""

    def __init__(self) -> None:
        self._of_channel: dict[int, dict[int, list[Past]]] = {}
        self._latest_ns: dict[int, int] = {}
        self._order: deque[Past] = deque()

    def __len__(self) -> int:
        return len(self._order)

    def remember(self, past: Past) -> None:
        """Enter a subscription that was just lost."""
        subscriptions = self._of_channel.get(past.channel)
        if subscriptions is None:
            subscriptions = self._of_channel[past.channel] = {}
        pasts = subscriptions.get(past.subscription)
        if pasts is None:
            subscriptions[past.subscription] = [past]
        else:
            pasts.append(past)
        self._latest_ns[past.channel] = past.until_ns
        self._order.append(past)

    def owed(self, subscription: int, book: Book) -> Past | None:
        """Return the past of `subscription` that was eligible for `book`."""
        for past in self._of_channel.get(book.channel, {}).get(subscription, ()):
            if past.covers(book):
                return past
        return None

    def eligible(self, book: Book) -> Iterator[Past]:
        """Yield every past that was eligible for `book`. Cost: one access if nobody was lost since its time."""
        if self._latest_ns.get(book.channel, 0) > book.sched_ns:
            for past in self.of_channel(book.channel):
                if past.covers(book):
                    yield past

    def of_channel(self, channel: int) -> Iterator[Past]:
        """Yield every past of `channel`."""
        for pasts in self._of_channel.get(channel, {}).values():
            yield from pasts

    def prune(self, before_ns: int) -> None:
        """Forget what ended before `before_ns`."""
        while self._order and self._order[0].until_ns < before_ns:
            past = self._order.popleft()
            subscriptions = self._of_channel[past.channel]
            pasts = subscriptions[past.subscription]
            pasts.remove(past)
            if not pasts:
                del subscriptions[past.subscription]
