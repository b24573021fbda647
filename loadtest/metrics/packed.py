"""One histogram as it came over the network: the buckets that were hit and their counts, two arrays of equal length.

    wire {"i": 2 bytes a bucket, "n": 1, 2 or 4 bytes a count, "min", "max", "neg"} --read--> Packed --add--> Tally

Law: `read` gives a whole histogram or raises ValueError naming what is wrong. It looks at every byte, but in a handful
of array operations, since a master reads some 10,000 buckets of each worker a second. What two and four bytes can say
bounds the rest: no index is enormous, no sum can overflow.

Only a master needs this file, and numpy: workers record in `Histogram`, which is a dict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadtest.metrics.distribution import Distribution
from loadtest.metrics.histogram import BUCKETS, HALF, MAX_VALUE_NS, NO_MIN, Histogram, index_of
from loadtest.metrics.wire import integer

Counts = NDArray[Any]
"""Integers, of whatever width they came in."""

_MOST = (1 << 53) - 1
_WIDTHS = {1: "u1", 2: "<u2", 4: "<u4"}


def _edges() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the lowest and the highest value of every bucket."""
    index = np.arange(BUCKETS, dtype=np.int64)
    shift = np.maximum(index // HALF - 1, 0)
    lowest = (index - shift * HALF) << shift
    return lowest, lowest + ((np.int64(1) << shift) - 1)


LOWEST_NS, HIGHEST_NS = _edges()


class Packed(Distribution):
    """Sparse counts that are not changed any more: `indices` ascend, and none of `counts` is zero."""

    __slots__ = ("count", "counts", "indices", "max_ns", "min_ns", "negative")

    def __init__(self, indices: Counts, counts: Counts, min_ns: int, max_ns: int, negative: int) -> None:
        self.indices = indices
        self.counts = counts
        self.count = int(counts.sum()) if counts.size else 0
        self.min_ns = min_ns
        self.max_ns = max_ns
        self.negative = negative

    @classmethod
    def of(cls, histogram: Histogram) -> Packed:
        """Return `histogram` as arrays."""
        edges = sorted(histogram.counts)
        indices = np.fromiter(map(index_of, edges), dtype=np.uint16, count=len(edges))
        counts = np.fromiter((histogram.counts[edge] for edge in edges), dtype=np.int64, count=len(edges))
        return cls(indices, counts, histogram.min_ns, histogram.max_ns, histogram.negative)

    @classmethod
    def read(cls, wire: object) -> Packed:
        """Read what `Histogram.to_wire` gave.

        Raises:
            ValueError: naming what is wrong; nothing that is not a histogram passes.
        """
        if not isinstance(wire, Mapping):
            raise ValueError(f"a histogram is an object, not {type(wire).__name__}")
        negative = integer(wire.get("neg", 0), "histogram neg", 0, _MOST)
        indices, counts = buckets(wire)
        if not indices.size:
            return cls(indices, counts, NO_MIN, -1, negative) if negative else EMPTY
        if not (indices[1:] > indices[:-1]).all():
            raise ValueError("histogram buckets must ascend")
        min_ns = integer(wire.get("min"), "histogram min", 0, MAX_VALUE_NS)
        max_ns = integer(wire.get("max"), "histogram max", 0, MAX_VALUE_NS)
        if index_of(min_ns) != indices[0] or index_of(max_ns) != indices[-1]:
            raise ValueError("histogram min and max must lie in its first and last bucket")
        return cls(indices, counts, min_ns, max_ns, negative)

    def plus(self, other: Packed) -> Packed:
        """Return the sum of both: the herds of one worker are few, and seldom more than one has something to say."""
        if not other.count and not other.negative:
            return self
        if not self.count and not self.negative:
            return other
        indices, at = np.unique(np.concatenate((self.indices, other.indices)), return_inverse=True)
        counts = np.zeros(len(indices), dtype=np.int64)
        np.add.at(counts, at, np.concatenate((self.counts, other.counts)))
        low_ns, high_ns = min(self.min_ns, other.min_ns), max(self.max_ns, other.max_ns)
        return Packed(indices, counts, low_ns, high_ns, self.negative + other.negative)

    def at_ranks_ns(self, ranks: Sequence[int]) -> list[int]:
        """See `Distribution`."""
        at = self.indices[np.searchsorted(self.counts.cumsum(), ranks)]
        found: list[int] = np.clip(HIGHEST_NS[at], self.min_ns, self.max_ns).tolist()
        return found


def buckets(wire: Mapping[str, Any]) -> tuple[Counts, Counts]:
    """Read the blocks `i` and `n` of a histogram, or of several in a row: every index exists, no count is zero.

    Raises:
        ValueError: naming the block and what is wrong with it.
    """
    indices, numbers = block(wire.get("i"), "histogram key 'i'"), block(wire.get("n"), "histogram key 'n'")
    size, odd = divmod(len(indices), 2)
    if odd:
        raise ValueError("histogram key 'i' must hold two bytes for each bucket")
    if not size:
        if numbers:
            raise ValueError("histogram key 'n' holds counts of no buckets")
        return EMPTY.indices, EMPTY.counts
    width, rest = divmod(len(numbers), size)
    if rest or width not in _WIDTHS:
        raise ValueError(f"histogram key 'n' must hold 1, 2 or 4 bytes for each of {size:,} buckets")
    found, counts = np.frombuffer(indices, "<u2"), np.frombuffer(numbers, _WIDTHS[width])
    if found.max() >= BUCKETS:
        raise ValueError(f"histogram bucket index must be in 0..{BUCKETS - 1}, not {found.max()}")
    if not counts.all():
        raise ValueError("a bucket on the wire must not be empty")
    return found, counts


def block(value: object, name: str) -> bytes:
    """Return `value` if it is bytes.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(value, bytes):
        raise ValueError(f"{name} must be bytes, not {type(value).__name__}")
    return value


EMPTY = Packed(np.zeros(0, np.uint16), np.zeros(0, np.int64), NO_MIN, -1, 0)
