"""When subscriptions that had been there were away: what was published meanwhile, and what of it they got after all.

    subscribed ... dropped [ away: not eligible, so nothing of this is ever `lost` ) subscribed again ...
                             missed: every message of the channel scheduled in here, once per subscription
                             caught up: its first copy, replayed by a server that recovers sessions, before its deadline

Law: METRICS.md counts as lost what an eligible subscriber did not get; who is away is not eligible. A server that
recovers sessions promises more, and this is the account of that: missed - caught up is what the absence cost.
"""

from __future__ import annotations

from collections import deque

from loadtest.metrics.membership import Membership


class Absences:
    """The absences of one worker's subscriptions, and how many were away at any recent moment, by channel."""

    def __init__(self) -> None:
        self._away: dict[int, Membership] = {}
        self._of: dict[int, list[tuple[int, int]]] = {}
        self._open: dict[int, int] = {}
        self._ends: deque[tuple[int, int]] = deque()
        """(end, subscription) of every absence that is over, in the order of their ends."""

    def left(self, channel: int, subscription: int, at_ns: int) -> None:
        """Note a subscription that was dropped."""
        away = self._away.get(channel)
        if away is None:
            away = self._away[channel] = Membership()
        self._open[subscription] = away.change(at_ns, +1)

    def returned(self, channel: int, subscription: int, at_ns: int) -> None:
        """Note a subscription that is acknowledged (again); the first time nothing had been missed."""
        left_ns = self._open.pop(subscription, None)
        if left_ns is not None:
            until_ns = self._away[channel].change(at_ns, -1)
            self._of.setdefault(subscription, []).append((left_ns, until_ns))
            self._ends.append((until_ns, subscription))

    def missed(self, channel: int, sched_ns: int) -> int:
        """Return how many subscriptions of `channel` were away at `sched_ns`."""
        away = self._away.get(channel)
        return 0 if away is None else away.at(sched_ns)

    def covers(self, subscription: int, sched_ns: int) -> bool:
        """Whether `subscription` was away at `sched_ns`."""
        left_ns = self._open.get(subscription)
        if left_ns is not None and left_ns <= sched_ns:
            return True
        return any(left_ns <= sched_ns < until_ns for left_ns, until_ns in self._of.get(subscription, ()))

    def prune(self, before_ns: int) -> None:
        """Forget what ended before `before_ns`, at the cost of what is forgotten: a herd has many that stay."""
        for away in self._away.values():
            away.prune(before_ns)
        while self._ends and self._ends[0][0] < before_ns:
            _, subscription = self._ends.popleft()
            absences = self._of[subscription]
            del absences[0]
            if not absences:
                del self._of[subscription]
