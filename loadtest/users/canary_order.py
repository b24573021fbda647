"""The order of a canary, as the master sends it and a publisher's worker reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from loadtest.metrics.wire import integer
from loadtest.profile.population import MAX_CHANNELS
from loadtest.users.timekeeper import MOST_NS


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
