"""A mass disconnect that is followed: its name, its beginning, its curve, and which drops belong to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from loadtest.clock import NS_PER_S
from loadtest.metrics.others import Others
from loadtest.metrics.recovery import RecoveryCurve

KNOWN_NS = 3 * NS_PER_S
"""How long after t0 its clients are not known as a whole: every worker has to be heard, and reports once a second."""
YOUNG_NS = 5 * NS_PER_S
"""How long after its beginning, and after the end of its fault, an event explains every drop, whoever is back."""
HARMLESS_NS = 30 * NS_PER_S
"""An event that has dropped nobody for so long drops nobody: what comes later is another event's."""
MOST_CANARIES = 100
MASS_SHARE = 0.01
"""More than this share of clients dropped inside 1 s opens an event by itself (METRICS.md)."""


@dataclass(slots=True)
class Event:
    """A mass disconnect that is followed.

    Attributes:
        at_work: its fault is being applied, which takes as long as a rollout takes; as with `lasts` until then.
        lasts: its fault is in place and will be taken back; until then every drop is its doing, and it is not over.
        undone_ns: when it was taken back; None: not yet, or there was nothing to take back.
        others: the clients that it did not disconnect. facts: what the fault reported of itself.
        canaries_ns: when canaries were ordered for it, the first `MOST_CANARIES`.
    """

    name: str
    kind: str
    t0_ns: int
    curve: RecoveryCurve
    announced: bool = True
    closed: bool = False
    lost: int = 0
    at_work: bool = False
    applied_ns: int | None = None
    lasts: bool = False
    undone_ns: int | None = None
    others: Others = field(default_factory=Others)
    facts: dict[str, Any] = field(default_factory=dict)
    canaries_ns: list[int] = field(default_factory=list)

    def applied(self, at_ns: int) -> None:
        """Note that its fault has been applied, or has failed to be."""
        self.at_work, self.applied_ns = False, at_ns

    def undone(self, at_ns: int) -> None:
        """Note that its fault was taken back."""
        self.lasts, self.undone_ns = False, at_ns

    @property
    def acted_ns(self) -> int:
        """When its fault did something last."""
        return max(self.t0_ns, self.applied_ns or 0, self.undone_ns or 0)

    def canary(self, at_ns: int) -> None:
        """Note that a canary was ordered for it."""
        if len(self.canaries_ns) < MOST_CANARIES:
            self.canaries_ns.append(at_ns)

    def more(self, zero_ns: int) -> dict[str, Any]:
        """Return what only some events have in run.json.

        When a lasting fault was taken back, what it reported, when canaries went out; times since the start of the run.
        """
        undone = {} if self.undone_ns is None else {"undone_at_s": (self.undone_ns - zero_ns) / NS_PER_S}
        canaries = [(at_ns - zero_ns) / NS_PER_S for at_ns in self.canaries_ns]
        return (
            undone | ({"fault": self.facts} if self.facts else {}) | ({"canaries_at_s": canaries} if canaries else {})
        )

    def is_over(self, now_ns: int) -> bool:
        """Whether every client that was dropped is back, or nobody was dropped for long enough."""
        if self.lasts or self.at_work:
            return False
        if not self.curve.dropped:
            return now_ns - self.acted_ns > HARMLESS_NS
        return self.curve.subscribed_now >= self.curve.population > 0

    def explains(self, drop_ns: int) -> bool:
        """Whether a drop at `drop_ns` belongs to this event: it is not over, and not 99 of 100 dropped ones are back.

        A straggler within the second before it counts too: of an interval only the first drop's time is known.
        """
        if self.closed or drop_ns + NS_PER_S < self.t0_ns:
            return False
        missing = self.curve.population - self.curve.subscribed_now
        young = self.lasts or self.at_work or drop_ns < self.acted_ns + YOUNG_NS
        return young or missing > MASS_SHARE * self.curve.population
