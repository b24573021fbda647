"""What happened to connections in one interval: counts and durations, taken once a second."""

from __future__ import annotations

from collections import Counter
from typing import Any

from loadtest.metrics.histogram import Histogram


class Account:
    """Counters of one herd since the last `take`.

    counts: attempts, connected (session accepted), subscribed, drops, received (application messages without a marker),
        unsent (publishes that found no live connection), postponed (connects held back by the cap in flight).
    failures: failed attempts by reason. drops: lost live connections by reason.
    connect: attempt begun -> session accepted. subscribe: request written -> all acknowledged. ack: publish -> answer.
    lateness: how much later than scheduled an attempt began (the harness's own doing).
    begun_late_ns, joined_ns, subscribed_ns: durations for lateness, connect and subscribe, gathered here and counted
        when somebody looks: one by one that is dearer.
    """

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self.counts: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.drops: Counter[str] = Counter()
        self._connect = Histogram()
        self._subscribe = Histogram()
        self._lateness = Histogram()
        self.ack = Histogram()
        self.begun_late_ns: list[int] = []
        self.joined_ns: list[int] = []
        self.subscribed_ns: list[int] = []
        self.first_drop_ns = 0

    @property
    def connect(self) -> Histogram:
        """From the attempt begun to the session accepted."""
        return _counted(self._connect, self.joined_ns)

    @property
    def subscribe(self) -> Histogram:
        """From the request written to all acknowledged."""
        return _counted(self._subscribe, self.subscribed_ns)

    @property
    def lateness(self) -> Histogram:
        """From the scheduled time of an attempt to its beginning."""
        return _counted(self._lateness, self.begun_late_ns)

    def ended(self, reason: str, at_ns: int, *, was_live: bool) -> None:
        """Count a connection that was dropped, or an attempt that failed."""
        if was_live:
            self.counts["drops"] += 1
            self.drops[reason] += 1
            self.first_drop_ns = self.first_drop_ns or at_ns
        else:
            self.failures[reason] += 1

    def take(self) -> dict[str, Any]:
        """Return the interval as plain values and start a new one."""
        taken = {
            "counts": dict(self.counts),
            "failures": dict(self.failures),
            "drops": dict(self.drops),
            "connect": self.connect.to_wire(),
            "subscribe": self.subscribe.to_wire(),
            "ack": self.ack.to_wire(),
            "connect_lateness": self.lateness.to_wire(),
            "first_drop_ns": self.first_drop_ns,
        }
        self._reset()
        return taken


def _counted(histogram: Histogram, gathered_ns: list[int]) -> Histogram:
    """Count what was gathered, and gather anew."""
    histogram.record_many(gathered_ns)
    gathered_ns.clear()
    return histogram
