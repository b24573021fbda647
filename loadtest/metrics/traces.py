"""The traced messages of one report: one worker's parts of messages that are followed to their last subscriber.

Law: as of `Packed`: all of it is looked at, in a handful of array operations, or it is refused by name. What comes from
thousands of messages is never unpacked one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from loadtest.metrics.delivery import MOST_TRACES, TRACE_ROW
from loadtest.metrics.packed import HIGHEST_NS, LOWEST_NS, Counts, block, buckets

_MOST = 1 << 53
_SIZE = TRACE_ROW.index("buckets")


class Trace(NamedTuple):
    """One worker's part of a message: how many of its subscribers are owed it, and the latencies of those it reached.

    `indices` and `counts` are of buckets, as in `Packed`; without any, `min_ns` and `max_ns` mean nothing.
    """

    message: tuple[int, int, int]
    expected: int
    min_ns: int
    max_ns: int
    indices: Counts
    counts: Counts


class Traces:
    """The blocks of `TraceLog.to_wire`."""

    def __init__(self, rows: Counts, indices: Counts, counts: Counts) -> None:
        self._rows = rows
        self._indices = indices
        self._counts = counts

    @classmethod
    def read(cls, wire: object) -> Traces:
        """Read what `TraceLog.to_wire` gave.

        Raises:
            ValueError: naming what is wrong.
        """
        if not isinstance(wire, dict):
            raise ValueError(f"traces must be an object, not {type(wire).__name__}")
        data = block(wire.get("rows"), "traces key 'rows'")
        messages, rest = divmod(len(data), 8 * len(TRACE_ROW))
        if rest or messages > MOST_TRACES:
            raise ValueError(f"traces: at most {MOST_TRACES} rows of {len(TRACE_ROW)} numbers, not {len(data):,} bytes")
        try:
            indices, counts = buckets(wire)
        except ValueError as error:
            raise ValueError(f"traces: {error}") from error
        rows = np.frombuffer(data, "<i8").reshape(messages, len(TRACE_ROW))
        fault = _fault(rows, indices)
        if fault:
            raise ValueError(f"traces: {fault}")
        return cls(rows, indices, counts)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Trace]:
        indices, counts, end = self._indices, self._counts, 0
        for channel, epoch, seq, expected, size, min_ns, max_ns in self._rows.tolist():
            begin, end = end, end + size
            yield Trace((channel, epoch, seq), expected, min_ns, max_ns, indices[begin:end], counts[begin:end])


def _fault(rows: Counts, indices: Counts) -> str:
    """Return what is wrong with the rows, or with the order of the buckets; "" if nothing is."""
    if not len(rows):
        return "buckets of no message" if indices.size else ""
    if rows.min() < 0 or rows[:, : _SIZE + 1].max() > _MOST:
        return f"numbers must be in 0..{_MOST}"
    sizes = rows[:, _SIZE]
    if sizes.max() > indices.size or sizes.sum() != indices.size:
        return f"the rows speak of {sizes.sum():,} buckets, there are {indices.size:,}"
    filled = rows[sizes > 0]
    if not len(filled):
        return ""
    last = filled[:, _SIZE].cumsum() - 1
    ascends = indices[1:] > indices[:-1]
    ascends[last[:-1]] = True  # the next bucket is another message's
    if not ascends.all():
        return "buckets must ascend"
    lowest, highest = indices[np.append(0, last[:-1] + 1)], indices[last]
    min_ns, max_ns = filled[:, _SIZE + 1], filled[:, _SIZE + 2]
    inside = (LOWEST_NS[lowest] <= min_ns) & (min_ns <= HIGHEST_NS[lowest])
    inside &= (LOWEST_NS[highest] <= max_ns) & (max_ns <= HIGHEST_NS[highest])
    return "" if inside.all() else "min and max must lie in the first and last bucket"
