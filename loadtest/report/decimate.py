"""Thin out long series without hiding a peak: every bucket of time keeps the lows and highs of every column.

    28,800 seconds x 6 columns --buckets, lowest and highest of each column--> at most `limit` shared rows

Rows are chosen for all columns of a chart together, so that stacked areas keep one time axis.
"""

from __future__ import annotations

from collections.abc import Sequence

POINTS = 2000
"""Most points that one series of a report holds."""

Column = Sequence[float | None]


def rows_to_keep(columns: Sequence[Column], limit: int = POINTS) -> list[int]:
    """Return the sorted row numbers to keep, at most `limit`; all of them when there are few enough.

    Args:
        columns: series of equal length; None is a gap and is never an extreme.
        limit: most rows to return, at least 4.

    Cost: O(rows x columns) per halving of the number of buckets; a few passes for an 8-hour run.
    """
    length = len(columns[0]) if columns else 0
    if length <= limit:
        return list(range(length))
    buckets = limit // 2
    while True:
        kept = _extremes(columns, length, buckets)
        if len(kept) <= limit or buckets == 1:
            return sorted(kept)[:limit]
        buckets = max(1, min(buckets - 1, buckets * limit // len(kept)))


def _extremes(columns: Sequence[Column], length: int, buckets: int) -> set[int]:
    kept = {0, length - 1}
    for bucket in range(buckets):
        start, stop = bucket * length // buckets, (bucket + 1) * length // buckets
        kept.add(start)
        for column in columns:
            known = [(value, row) for row in range(start, stop) if (value := column[row]) is not None]
            if known:
                kept.add(min(known)[1])
                kept.add(max(known, key=lambda pair: (pair[0], -pair[1]))[1])
    return kept
