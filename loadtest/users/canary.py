"""Orders canaries on the master: where the merged curve of an event says that enough clients wait for a message.

    reports --> curve of the event --CanaryRule--> [Canaries] --canary--> publishers --one publish more--> everybody
                     ^-------------------------------------------------------- reached --------------/

Laws: this is the one publish whose time depends on the system (closed loop). It is scheduled for the moment it is
ordered, its latency counts from then, and it stands in all books like every other publish; T_sub then says when clients
were really reached, not when somebody happened to speak. Without `recovery.canary` none is ordered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from loadtest.clock import NS_PER_S
from loadtest.metrics.books import Books
from loadtest.metrics.canary import CanaryRule
from loadtest.profile.model import Profile
from loadtest.users import messages
from loadtest.users.publishing import CanaryOrder

Tell = Callable[[str, dict[str, Any]], None]


class Canaries:
    """Order the canaries of one run.

    Args:
        tell: sends a message to every worker that takes part. log: takes what a person should know.

    Attributes:
        allowed: publishing has begun and has not ended.
    """

    def __init__(self, profile: Profile, tell: Tell, log: Callable[[str], None]) -> None:
        recovery = profile.recovery
        self.allowed = False
        self._name = recovery.canary
        self._channels = profile.canary_channels
        self._rule = CanaryRule(recovery.canary_at, round(recovery.canary_every_s * NS_PER_S))
        self._tell = tell
        self._log = log
        self._last_ns: int | None = None

    def look(self, books: Books, now_ns: int) -> None:
        """Order a canary if an event needs one: not while its fault is being applied, for then more will be dropped."""
        if not self._channels or not self.allowed:
            return
        heard_ns = _heard_ns(books)
        waiting = [
            event
            for event in books.events.values()
            if not (event.closed or event.at_work) and self._rule.is_due(event.curve, heard_ns, self._last_ns)
        ]
        if not waiting:
            return
        self._last_ns = now_ns
        order = CanaryOrder(self._channels.start, len(self._channels), now_ns)
        self._tell(messages.CANARY, order._asdict())
        for event in waiting:
            event.canary(now_ns)
            curve = event.curve
            self._log(
                f"{event.name}: {curve.acknowledged_now:,} of {curve.population:,} are subscribed again and"
                f" {curve.acknowledged_now - curve.subscribed_now:,} wait for a message: canary to {self._name}"
            )


def _heard_ns(books: Books) -> int:
    """Return the last time of which every worker that is not lost has told; 0 before anybody has."""
    gauges = books.workers.values()
    return min((gauge.t_ns for gauge in gauges if gauge.t_ns and not (gauge.lost or gauge.final)), default=0)
