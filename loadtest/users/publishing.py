"""What the publishers of one worker did since its last report, and what they are ordered to send out of turn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from loadtest.metrics.histogram import Histogram
from loadtest.metrics.wire import integer
from loadtest.profile.population import MAX_CHANNELS
from loadtest.users.timekeeper import MOST_NS


class Publishing:
    """What publishers of this worker did in one interval."""

    def __init__(self) -> None:
        self.published = 0
        self.unsent = 0
        self.failures: Counter[str] = Counter()
        self.lateness = Histogram()

    def to_wire(self) -> dict[str, Any]:
        """Return the interval as plain values."""
        return {
            "published": self.published,
            "unsent": self.unsent,
            "failures": dict(self.failures),
            "lateness": self.lateness.to_wire(),
        }


class CanaryOrder(NamedTuple):
    """One message more to each of `number` channels from channel `first` on, scheduled for `at_ns`."""

    first: int
    number: int
    at_ns: int

    @classmethod
    def read(cls, data: object) -> CanaryOrder:
        """Return the order that another process sent.

        Raises:
            ValueError: naming what is wrong with it.
        """
        if not isinstance(data, Mapping):
            raise ValueError(f"it is an object, not {type(data).__name__}")
        first = integer(data.get("first"), "first", 0, MAX_CHANNELS)
        number = integer(data.get("number"), "number", 1, MAX_CHANNELS)
        return cls(first, number, integer(data.get("at_ns"), "at_ns", 0, MOST_NS))
