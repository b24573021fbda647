"""A mass disconnect that is followed: its name, its beginning, its curve, and which drops belong to it."""

from __future__ import annotations

from dataclasses import dataclass

from loadtest.clock import NS_PER_S
from loadtest.metrics.recovery import RecoveryCurve

YOUNG_NS = 5 * NS_PER_S
"""How long after its beginning an event explains every drop, whoever is back already."""
HARMLESS_NS = 30 * NS_PER_S
"""An event that has dropped nobody for so long drops nobody: what comes later is another event's."""
MASS_SHARE = 0.01
"""More than this share of clients dropped inside 1 s opens an event by itself (METRICS.md)."""


@dataclass(slots=True)
class Event:
    """A mass disconnect that is followed."""

    name: str
    kind: str
    t0_ns: int
    curve: RecoveryCurve
    announced: bool = True
    closed: bool = False
    lost: int = 0

    def is_over(self, now_ns: int) -> bool:
        """Whether every client that was dropped is back, or nobody was dropped for long enough."""
        if not self.curve.dropped:
            return now_ns - self.t0_ns > HARMLESS_NS
        return self.curve.subscribed_now >= self.curve.population > 0

    def explains(self, drop_ns: int) -> bool:
        """Whether a drop at `drop_ns` belongs to this event: it is not over, and not 99 of 100 dropped ones are back.

        A straggler within the second before it counts too: of an interval only the first drop's time is known.
        """
        if self.closed or drop_ns + NS_PER_S < self.t0_ns:
            return False
        missing = self.curve.population - self.curve.subscribed_now
        young = drop_ns < self.t0_ns + YOUNG_NS
        return young or missing > MASS_SHARE * self.curve.population
