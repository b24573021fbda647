"""Who is in which channel: pure arithmetic over the channel groups, no object per client.

Channels are numbered over all groups, group 0 first:

    group 0: count 3, 2 per channel      group 1: count 1, all          client 4 of 5
    channel   0    1    2                channel  3                     -> group 0: 4 % 3 = channel 1, seat 4 // 3 = 1
    clients  0 3  1 4   2                clients  0 1 2 3 4             -> group 1: channel 3, seat 4
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """One group laid out: channels `first .. first + count - 1`, held by clients `0 .. clients - 1`."""

    first: int
    count: int
    clients: int


class ChannelPlan:
    """The channels of a population and their members.

    Args:
        connections: clients in the population.
        groups: (name template, count, clients per channel; None = everybody shared out) for each group.

    Cost: O(groups) per question about one client, O(1) for the members of a channel; `names` once per channel.
    """

    def __init__(self, connections: int, groups: Sequence[tuple[str, int, int | None]]) -> None:
        names: list[str] = []
        spans: list[Span] = []
        for template, count, per_channel in groups:
            seats = -(-connections // count) if per_channel is None else per_channel
            spans.append(Span(len(names), count, min(connections, count * seats)))
            names.extend(template.replace("{n}", str(n)) for n in range(count))
        self.names = tuple(names)
        self.spans = tuple(spans)
        self.subscriptions = sum(span.clients for span in spans)
        """Subscriptions of the whole population."""

    def of(self, index: int) -> list[int]:
        """Return the channel numbers of one client."""
        return [span.first + index % span.count for span in self.spans if index < span.clients]

    def members(self, channel: int) -> range:
        """Return the clients of one channel."""
        for span in self.spans:
            if span.first <= channel < span.first + span.count:
                return range(channel - span.first, span.clients, span.count)
        raise IndexError(f"channel {channel} of {len(self.names)}")
