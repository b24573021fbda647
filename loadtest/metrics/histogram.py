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

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

from hdrh.histogram import HdrHistogram

from loadtest.clock import NS_PER_MS
from loadtest.metrics.wire import integer

LEADING_BITS = 11
EXACT_BELOW_NS = 1 << LEADING_BITS
MAX_BUCKETS = 50_000
"""Most buckets one histogram on the wire may have: a full hour needs 33,421."""

HDR_LOWEST_NS = 1_000
HDR_HIGHEST_NS = 3_600 * 1_000_000_000
HDR_DIGITS = 3

PERCENTILES = (50.0, 90.0, 99.0, 99.9)
LATENCY_KEYS = ("min", "p50", "p90", "p99", "p99.9", "max")

_HALF = 1 << (LEADING_BITS - 1)
_MAX_VALUE_NS = (1 << 63) - 1
_MAX_INDEX = (63 - LEADING_BITS + 2) * _HALF - 1
_MAX_COUNT = (1 << 63) - 1
_NO_MIN = 1 << 64


def bucket(value_ns: int) -> int:
    """Return the lower edge, in ns, of the bucket that holds `value_ns` (>= 0)."""
    shift = value_ns.bit_length() - LEADING_BITS
    return (value_ns >> shift) << shift if shift > 0 else value_ns


def width(edge_ns: int) -> int:
    """Return how many ns wide the bucket with the lower edge `edge_ns` is: 1 below 2048, then 2, 4, 8 ..."""
    shift = edge_ns.bit_length() - LEADING_BITS
    return 1 << shift if shift > 0 else 1


def rank(percentile: float, count: int) -> int:
    """Return ceil(percentile * count / 100), the nearest rank, at least 1; percentiles resolve to 0.001 %."""
    return max(1, -(-count * round(percentile * 1000) // 100_000))


class Histogram:
    """Sparse counts of durations in integer ns.

    `counts` maps a bucket's lower edge to how often it was hit; `min_ns` and `max_ns` are exact and mean nothing while
    `count` is 0; `negative` counts values below zero, which were recorded as 0 (two clocks that disagree show there).

    Cost: record 0.4 us, record_many 0.23 us per value (measured, two busy cores); 100 bytes per distinct bucket.
    """

    __slots__ = ("count", "counts", "max_ns", "min_ns", "negative")

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self.count = 0
        self.min_ns = _NO_MIN
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

    def percentile_ns(self, percentile: float) -> int | None:
        """Return the `percentile` (0..100, nearest rank) in ns, or None when nothing was recorded."""
        return self.percentiles_ns((percentile,))[0] if self.count else None

    def percentiles_ns(self, percentiles: Sequence[float]) -> list[int]:
        """Return several ascending percentiles in one pass; the histogram must not be empty."""
        if not self.count:
            raise ValueError("an empty histogram has no percentiles")
        return self.at_ranks_ns([0 if percentile <= 0 else rank(percentile, self.count) for percentile in percentiles])

    def at_ranks_ns(self, ranks: Sequence[int]) -> list[int]:
        """Return the ranks-th smallest values (ascending ranks, 1 .. count; 0 is the minimum) in one pass."""
        found: list[int] = []
        edges = iter(sorted(self.counts))
        edge, seen = 0, 0
        for wanted in ranks:
            if wanted <= 0:
                found.append(self.min_ns)
                continue
            while seen < wanted:
                edge = next(edges)
                seen += self.counts[edge]
            found.append(min(max(edge + width(edge) - 1, self.min_ns), self.max_ns))
        return found

    def latency_ms(self) -> dict[str, Any]:
        """Return LATENCY of `loadtest.run/1`: count, min, p50, p90, p99, p99.9, max in ms; None when count is 0."""
        if not self.count:
            return {"count": 0, **dict.fromkeys(LATENCY_KEYS)}
        figures = [self.min_ns, *self.percentiles_ns(PERCENTILES), self.max_ns]
        return {"count": self.count} | {
            key: value_ns / NS_PER_MS for key, value_ns in zip(LATENCY_KEYS, figures, strict=True)
        }

    def to_wire(self) -> dict[str, Any]:
        """Return plain ints and lists: `b` = [gap to the previous bucket index, count, ...] in ascending order."""
        flat: list[int] = []
        previous = 0
        for edge in sorted(self.counts):
            index = _index_of(edge)
            flat += (index - previous, self.counts[edge])
            previous = index
        if not flat:
            return {"b": flat, "neg": self.negative}
        return {"b": flat, "min": self.min_ns, "max": self.max_ns, "neg": self.negative}

    @classmethod
    def from_wire(cls, wire: object) -> Histogram:
        """Rebuild what `to_wire` gave.

        Raises:
            ValueError: naming what is wrong; nothing that is not a histogram passes.
        """
        if not isinstance(wire, Mapping):
            raise ValueError(f"a histogram is an object, not {type(wire).__name__}")
        flat = wire.get("b")
        if not isinstance(flat, list | tuple) or len(flat) % 2:
            raise ValueError("histogram key 'b' must be a list of pairs")
        if len(flat) > 2 * MAX_BUCKETS:
            raise ValueError(f"a histogram has at most {MAX_BUCKETS:,} buckets, not {len(flat) // 2:,}")
        histogram = cls()
        histogram.negative = integer(wire.get("neg", 0), "histogram neg", 0, _MAX_COUNT)
        if not flat:
            return histogram
        gaps, numbers = flat[0::2], flat[1::2]
        # Checked as wholes, at the speed of C: a master reads some 10,000 buckets of each worker a second.
        if not (
            set(map(type, flat)) == {int}
            and gaps[0] >= 0
            and min(gaps[1:], default=1) > 0
            and sum(gaps) <= _MAX_INDEX
            and min(numbers) > 0
            and max(numbers) <= _MAX_COUNT
        ):
            raise _fault(flat)
        edges = [
            index if index < EXACT_BELOW_NS else (index - (shift := index // _HALF - 1) * _HALF) << shift
            for index in accumulate(gaps)
        ]
        histogram.counts = dict(zip(edges, numbers, strict=True))
        histogram.count = sum(numbers)
        edge = edges[-1]
        integer(histogram.count, "histogram count", 1, _MAX_COUNT)
        histogram.min_ns = integer(wire.get("min"), "histogram min", 0, _MAX_VALUE_NS)
        histogram.max_ns = integer(wire.get("max"), "histogram max", 0, _MAX_VALUE_NS)
        if bucket(histogram.min_ns) != next(iter(histogram.counts)) or bucket(histogram.max_ns) != edge:
            raise ValueError("histogram min and max must lie in its first and last bucket")
        return histogram

    def to_hdr(self) -> HdrHistogram:
        """Return an HdrHistogram of ns, 1 us .. 1 h, 3 digits; longer values enter as 1 h.

        Below 1.05 ms its buckets are 512 ns wide (what a lowest value of 1 us means there), above they are ours.
        """
        hdr = HdrHistogram(HDR_LOWEST_NS, HDR_HIGHEST_NS, HDR_DIGITS)
        for edge in sorted(self.counts):
            value = min(max(edge + width(edge) - 1, self.min_ns), self.max_ns, HDR_HIGHEST_NS)
            hdr.record_value(value, self.counts[edge])
        return hdr


def _fault(flat: Sequence[object]) -> ValueError:
    """Return what is wrong with the first bucket on the wire that is none."""
    index = 0
    for at in range(0, len(flat), 2):
        try:
            gap = integer(flat[at], "histogram bucket gap", 0, _MAX_INDEX)
            if gap == 0 and at:
                return ValueError("histogram buckets must ascend")
            if integer(flat[at + 1], "histogram bucket count", 0, _MAX_COUNT) == 0:
                return ValueError("a bucket on the wire must not be empty")
            index = integer(index + gap, "histogram bucket index", 0, _MAX_INDEX)
        except ValueError as error:
            return error
    return ValueError("histogram key 'b' holds no buckets")


def _index_of(edge_ns: int) -> int:
    shift = edge_ns.bit_length() - LEADING_BITS
    return shift * _HALF + (edge_ns >> shift) if shift > 0 else edge_ns
