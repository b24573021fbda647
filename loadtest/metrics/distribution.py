"""Read percentiles of counted durations, however they are stored: the figures are defined here, once.

    Histogram   a dict, to record with           in workers
    Packed      two short arrays, as it came     on the master, one report's
    Tally       one array over all buckets       on the master, where reports are added up

Law: a percentile is a nearest rank, so it is a value that was recorded (to 0.1 %); percentiles are never averaged.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from loadtest.clock import NS_PER_MS

PERCENTILES = (50.0, 90.0, 99.0, 99.9)
LATENCY_KEYS = ("min", "p50", "p90", "p99", "p99.9", "max")


def rank(percentile: float, count: int) -> int:
    """Return ceil(percentile * count / 100), the nearest rank, at least 1; percentiles resolve to 0.001 %."""
    return max(1, -(-count * round(percentile * 1000) // 100_000))


class Distribution(ABC):
    """Durations in integer ns, counted.

    `min_ns` and `max_ns` are exact and mean nothing while `count` is 0; `negative` counts values below zero, which were
    recorded as 0 (two clocks that disagree show there).
    """

    __slots__ = ()

    count: int
    min_ns: int
    max_ns: int
    negative: int

    @abstractmethod
    def at_ranks_ns(self, ranks: Sequence[int]) -> list[int]:
        """Return the ranks-th smallest values (ascending ranks, 1 .. count) in one pass."""

    def percentile_ns(self, percentile: float) -> int | None:
        """Return the `percentile` (0..100, nearest rank) in ns, or None when nothing was recorded."""
        return self.percentiles_ns((percentile,))[0] if self.count else None

    def percentiles_ns(self, percentiles: Sequence[float]) -> list[int]:
        """Return several ascending percentiles in one pass; the histogram must not be empty."""
        if not self.count:
            raise ValueError("an empty histogram has no percentiles")
        found = self.at_ranks_ns([rank(percentile, self.count) for percentile in percentiles])
        return [self.min_ns if percentile <= 0 else value for percentile, value in zip(percentiles, found, strict=True)]

    def latency_ms(self) -> dict[str, Any]:
        """Return LATENCY of `loadtest.run/1`: count, min, p50, p90, p99, p99.9, max in ms; None when count is 0."""
        if not self.count:
            return {"count": 0, **dict.fromkeys(LATENCY_KEYS)}
        figures = [self.min_ns, *self.percentiles_ns(PERCENTILES), self.max_ns]
        return {"count": self.count} | {
            key: value_ns / NS_PER_MS for key, value_ns in zip(LATENCY_KEYS, figures, strict=True)
        }

    def brief_ms(self) -> dict[str, float | int | None]:
        """Return count, p50, p90, p99 and max in ms, as an interval line has them; None when count is 0."""
        if not self.count:
            return {"count": 0, "p50": None, "p90": None, "p99": None, "max": None}
        p50, p90, p99 = (value_ns / NS_PER_MS for value_ns in self.percentiles_ns((50, 90, 99)))
        return {"count": self.count, "p50": p50, "p90": p90, "p99": p99, "max": self.max_ns / NS_PER_MS}
