"""Which subscriptions a client has asked for, and which are acknowledged.

Subscription s of the ledger is (slot, group): slot * groups + group. The request number is the group's number, so that
answers are the same bytes for every client and are decoded once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from loadtest.herd.clients import Clients
from loadtest.herd.slots import Slots
from loadtest.metrics.ledger import NOT_SUBSCRIBED, Ledger
from loadtest.protocol.dialect import Dialect
from loadtest.protocol.events import Acked

_OF_CHANNEL = {"channel", "channel_index"}
"""A request that uses no other placeholder is the same for every client of a channel."""

_MOST_REQUESTS = 4096
"""Sets of channels whose requests are kept; when full they are forgotten."""


class Subscribing:
    """Ask and keep count, for all slots of a herd. `ledger` None: nothing is subscribed to."""

    def __init__(self, slots: Slots, clients: Clients, dialect: Dialect, ledger: Ledger | None) -> None:
        self._slots = slots
        self._clients = clients
        self._dialect = dialect
        self._ledger = ledger
        self._groups = clients.groups
        self._same_for_all = dialect.subscribe_names <= _OF_CHANNEL
        self._requests: dict[tuple[int, ...], tuple[bytes, int]] = {}

    def assign(self, slots: range) -> None:
        """Tell the ledger which channels new slots belong to."""
        if self._ledger is not None:
            self._ledger.grow(slots.stop * self._groups)
            for slot in slots:
                for group, channel in self._wanted(slot):
                    self._ledger.assign(slot * self._groups + group, channel)

    def _wanted(self, slot: int) -> Iterator[tuple[int, int]]:
        """Yield (group, channel) of a slot's subscriptions."""
        for group, channel in enumerate(self._clients.channels(self._slots.index[slot])):
            if channel >= 0:
                yield group, channel

    def request(self, slot: int, variables: Mapping[str, object]) -> bytes:
        """Return the frames that ask for all of a slot's channels; b"" when there is nothing to ask."""
        channels = tuple(self._clients.channels(self._slots.index[slot]))
        known = self._requests.get(channels)
        if known is None:
            known = self._compose(channels, variables)
            if self._same_for_all:
                if len(self._requests) >= _MOST_REQUESTS:
                    self._requests.clear()
                self._requests[channels] = known
        frames, self._slots.pending[slot] = known
        return frames

    def _compose(self, channels: tuple[int, ...], variables: Mapping[str, object]) -> tuple[bytes, int]:
        """Return the frames that ask for `channels`, one of each group, and how many they ask for."""
        frames, wanted = b"", 0
        for group, channel in enumerate(channels):
            if channel >= 0:
                names = {"channel": self._clients.channel_name(channel), "channel_index": channel}
                frames += self._dialect.subscribe({**variables, **names}, group)
                wanted += 1
        return frames, wanted

    def answered(self, slot: int, answer: Acked, now_ns: int) -> bool:
        """Enter one acknowledgement; return True when it was the last one missing."""
        group = answer.id
        if self._ledger is None or (group is not None and not 0 <= group < self._groups):
            return False
        first = slot * self._groups
        if group is not None:
            return self._enter(slot, first + group, now_ns)
        for group, _ in self._wanted(slot):  # a dialect without numbers answers in order
            if self._ledger.since[first + group] == NOT_SUBSCRIBED:
                return self._enter(slot, first + group, now_ns)
        return False

    def all_answered(self, slot: int, requests: tuple[int, ...], now_ns: int) -> bool:
        """As `answered` for each of `requests`, in fewer steps."""
        if self._ledger is None:
            return False
        first, complete = slot * self._groups, False
        for group in requests:
            complete |= 0 <= group < self._groups and self._enter(slot, first + group, now_ns)
        return complete

    def _enter(self, slot: int, subscription: int, now_ns: int) -> bool:
        assert self._ledger is not None
        if self._ledger.since[subscription] != NOT_SUBSCRIBED or not self._ledger.is_assigned(subscription):
            return False
        self._ledger.subscribed(subscription, now_ns)
        self._slots.pending[slot] -= 1
        return not self._slots.pending[slot]

    def all(self, slot: int, now_ns: int) -> None:
        """Count every subscription of a slot from now: nothing acknowledges them."""
        self._slots.pending[slot] = 0
        if self._ledger is not None:
            for group, _ in self._wanted(slot):
                self._ledger.subscribed(slot * self._groups + group, now_ns)

    def drop(self, slot: int, now_ns: int) -> None:
        """Enter the loss of all subscriptions of a slot."""
        if self._ledger is not None:
            for subscription in range(slot * self._groups, (slot + 1) * self._groups):
                self._ledger.dropped(subscription, now_ns)
