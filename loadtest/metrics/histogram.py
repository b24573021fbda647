"""Count durations in log-linear buckets of three significant digits: small, mergeable, exact about what it rounds.

    ns 0 ............ 2047 | 2048 ..... 4095 | 4096 ..... 8191 | ...      value
       one bucket per ns   | 2 ns wide       | 4 ns wide       | ...      1024 buckets per doubling
    index 0 ......... 2047 | 2048 ..... 3071 | 3072 ..... 4095 | ...      what travels on the wire

The law of this file: a value keeps its 11 leading bits, so a bucket is at most 1/1024 = 0.098 % of its lower edge wide.
A percentile is reported as the *highest* value of its bucket (HdrHistogram's convention), held inside the exact
[min, max] of what was recorded: never below the true sample, and at most 0.098 % above it. Merging adds counts, so a
percentile of merged parts equals the percentile of the whole; percentiles are never averaged.

Source: HdrHistogram (Tene), 3 significant digits; the buckets are those of `HdrHistogram(1, ..., 3)` in ns.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from loadtest.metrics.distribution import Distribution

LEADING_BITS = 11
EXACT_BELOW_NS = 1 << LEADING_BITS
HALF = 1 << (LEADING_BITS - 1)
"""Buckets per doubling."""

MAX_VALUE_NS = (1 << 63) - 1
BUCKETS = (63 - LEADING_BITS + 2) * HALF
"""How many buckets there are up to `MAX_VALUE_NS`: an index fits two bytes."""

NO_MIN = 1 << 64
_TYPES = {1: "B", 2: "H", 4: "I"}
"""Array types by their bytes."""


def bucket(value_ns: int) -> int:
    """Return the lower edge, in ns, of the bucket that holds `value_ns` (>= 0)."""
    shift = value_ns.bit_length() - LEADING_BITS
    return (value_ns >> shift) << shift if shift > 0 else value_ns


def width(edge_ns: int) -> int:
    """Return how many ns wide the bucket with the lower edge `edge_ns` is: 1 below 2048, then 2, 4, 8 ..."""
    shift = edge_ns.bit_length() - LEADING_BITS
    return 1 << shift if shift > 0 else 1


def index_of(value_ns: int) -> int:
    """Return the number of the bucket that holds `value_ns` (>= 0), counted from 0 upwards without a gap."""
    shift = value_ns.bit_length() - LEADING_BITS
    return shift * HALF + (value_ns >> shift) if shift > 0 else value_ns


def narrow(counts: Sequence[int]) -> bytes:
    """Return `counts` (of buckets in one interval, so below 2^32) as little-endian numbers of 1, 2 or 4 bytes each.

    Raises:
        OverflowError: a count needs more.
    """
    most = max(counts, default=0)
    return array(_TYPES[1 if most < 1 << 8 else 2 if most < 1 << 16 else 4], counts).tobytes()


class Histogram(Distribution):
    """Sparse counts of durations, to record with: `counts` maps a bucket's lower edge to how often it was hit.

    Cost: record 0.4 us, record_many 0.23 us per value (measured, two busy cores); 100 bytes per distinct bucket.
    """

    __slots__ = ("count", "counts", "max_ns", "min_ns", "negative")

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self.count = 0
        self.min_ns = NO_MIN
        self.max_ns = -1
        self.negative = 0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Histogram):
            return NotImplemented
        mine = (self.counts, self.count, self.min_ns, self.max_ns, self.negative)
        return mine == (other.counts, other.count, other.min_ns, other.max_ns, other.negative)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Histogram(count={self.count}, buckets={len(self.counts)}, latency_ms={self.latency_ms()})"

    def record(self, value_ns: int, n: int = 1) -> None:
        """Count `value_ns` `n` times (n >= 1). Negative values count as 0 and in `negative`."""
        if value_ns < 0:
            self.negative += n
            value_ns = 0
        shift = value_ns.bit_length() - LEADING_BITS
        edge = (value_ns >> shift) << shift if shift > 0 else value_ns
        self.counts[edge] = self.counts.get(edge, 0) + n
        self.count += n
        if value_ns < self.min_ns:  # noqa: PLR1730 - a call to min() costs a third of this method
            self.min_ns = value_ns
        if value_ns > self.max_ns:  # noqa: PLR1730
            self.max_ns = value_ns

    def record_many(self, values_ns: Iterable[int]) -> None:
        """Count every value once; the same result as `record` on each, in one tight loop."""
        values = values_ns if isinstance(values_ns, Sequence) else list(values_ns)
        if not values:
            return
        low, high = min(values), max(values)
        if low < 0:
            self.negative += sum(1 for value in values if value < 0)
            values = [value if value > 0 else 0 for value in values]
            low, high = 0, max(high, 0)
        counts = self.counts
        get = counts.get
        for value in values:
            shift = value.bit_length() - 11  # LEADING_BITS, spelled out: a global costs 10 % here
            edge = (value >> shift) << shift if shift > 0 else value
            counts[edge] = get(edge, 0) + 1
        self.count += len(values)
        self.min_ns = min(self.min_ns, low)
        self.max_ns = max(self.max_ns, high)

    def add(self, other: Histogram) -> None:
        """Merge `other` into this one; the order of merges does not matter."""
        counts = self.counts
        if counts:
            get = counts.get
            for edge, n in other.counts.items():
                counts[edge] = get(edge, 0) + n
        else:
            counts.update(other.counts)
        self.count += other.count
        self.negative += other.negative
        self.min_ns = min(self.min_ns, other.min_ns)
        self.max_ns = max(self.max_ns, other.max_ns)

    def at_ranks_ns(self, ranks: Sequence[int]) -> list[int]:
        """See `Distribution`."""
        found: list[int] = []
        edges = iter(sorted(self.counts))
        edge, seen = 0, 0
        for wanted in ranks:
            while seen < wanted:
                edge = next(edges)
                seen += self.counts[edge]
            found.append(min(max(edge + width(edge) - 1, self.min_ns), self.max_ns))
        return found

    def to_wire(self) -> dict[str, Any]:
        """Return plain values: `i`, the indices of the buckets that were hit, ascending, in two bytes each; `n`, their
        counts (see `narrow`). Both are little-endian; `Packed.read` reads it. An empty one has no `min` and `max`.
        """
        edges = sorted(self.counts)
        if not edges:
            return {"i": b"", "n": b"", "neg": self.negative}
        indices = array("H", map(index_of, edges)).tobytes()
        numbers = narrow([self.counts[edge] for edge in edges])
        return {"i": indices, "n": numbers, "min": self.min_ns, "max": self.max_ns, "neg": self.negative}

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Histogram:
        """Rebuild what `to_wire` gave in this process. What another one sent is for `Packed.read`, which doubts it."""
        indices, numbers = array("H", wire["i"]), wire["n"]
        histogram = cls()
        histogram.negative = wire["neg"]
        if indices:
            counts = array(_TYPES[len(numbers) // len(indices)], numbers)
            histogram.counts = dict(zip(map(_edge, indices), counts, strict=True))
            histogram.count = sum(counts)
            histogram.min_ns, histogram.max_ns = wire["min"], wire["max"]
        return histogram


def _edge(index: int) -> int:
    """Return the lower edge, in ns, of the bucket number `index`."""
    shift = max(index // HALF - 1, 0)
    return (index - shift * HALF) << shift
