"""The course of a run for a page that opens late: bounded, however long the run.

    interval line --row--> rows (one per second) --full: two neighbours become one--> half as many rows, twice as long

Laws: at most `LIMIT` rows. Where seconds are merged, the worse one speaks: percentiles, lateness and attempts keep the
highest, connection states are those of the second with the fewest subscribed, counts are summed. So a peak never
vanishes, it only loses its place within `stride_s`. Marks are bounded too: the first and the latest stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loadtest.metrics.books import STATES

LIMIT = 1200
MARKS = 200

Cell = float | int | None
Row = list[Cell]

_SUMMED = ("connected", "drops", "failed", "published", "delivered", "expected", "settled", "lost", "duplicated")
_HIGHEST = (
    "attempts",
    "p50_ms",
    "p90_ms",
    "p99_ms",
    "max_ms",
    "connect_p99_ms",
    "lateness_p99_ms",
    "loop_lag_p99_ms",
    "cpu_max_percent",
    "rss_bytes",
)
COLUMNS = ("t_s", "span_s", "target", *STATES, *_SUMMED, *_HIGHEST)
"""Names of the cells of a row. `span_s`: seconds it covers. `failed`: failed attempts. `settled`: messages delivered of
`expected`, whose deadline has passed. `attempts`: the most in one second."""

_AT = {name: position for position, name in enumerate(COLUMNS)}
_STATES = slice(_AT[STATES[0]], _AT[STATES[-1]] + 1)
_SUBSCRIBED = _AT["subscribed"]


def row_of(line: Mapping[str, Any]) -> Row:
    """Return an interval line as a row; what it lacks is None."""
    connections, fanout = line.get("connections") or {}, line.get("fanout") or {}
    delivery, generator = line.get("delivery") or {}, line.get("generator") or {}
    cells: dict[str, Cell] = {
        "t_s": line.get("t_s"),
        "span_s": 1,
        "target": line.get("target"),
        **{state: connections.get(state, 0) for state in STATES},
        "attempts": line.get("attempts"),
        "connected": line.get("connected"),
        "drops": line.get("drops"),
        "failed": sum((line.get("failures") or {}).values()),
        "published": fanout.get("published"),
        "delivered": fanout.get("delivered"),
        **{key: fanout.get(key) for key in ("p50_ms", "p90_ms", "p99_ms", "max_ms")},
        "expected": delivery.get("expected"),
        "settled": delivery.get("delivered"),
        "lost": delivery.get("lost"),
        "duplicated": delivery.get("duplicated"),
        "connect_p99_ms": (line.get("connect_ms") or {}).get("p99"),
        **{key: generator.get(key) for key in ("lateness_p99_ms", "loop_lag_p99_ms", "cpu_max_percent", "rss_bytes")},
    }
    return [round(cell, 3) if isinstance(cell := cells[name], float) else cell for name in COLUMNS]


def merged(first: Row, second: Row) -> Row:
    """Return two neighbouring rows as one, by the law of this file."""
    row = list(second)
    worse = min(first, second, key=lambda row: row[_SUBSCRIBED] or 0)
    row[_STATES] = worse[_STATES]
    for name in ("span_s", *_SUMMED):
        row[_AT[name]] = (first[_AT[name]] or 0) + (second[_AT[name]] or 0)
    for name in _HIGHEST:
        known = [cell for cell in (first[_AT[name]], second[_AT[name]]) if cell is not None]
        row[_AT[name]] = max(known, default=None)
    return row


class History:
    """The rows and marks of one run."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit - limit % 2
        self._stride_s = 1
        self._rows: list[Row] = []
        self._marks: list[dict[str, Any]] = []

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def stride_s(self) -> int:
        """Seconds that a finished row covers: a power of two."""
        return self._stride_s

    def add(self, line: Mapping[str, Any]) -> Row:
        """Take an interval line; return its row of one second."""
        row = row_of(line)
        last = self._rows[-1] if self._rows else None
        if last is not None and (last[_AT["span_s"]] or 0) < self._stride_s:
            self._rows[-1] = merged(last, row)
        else:
            self._rows.append(row)
            if len(self._rows) > self._limit:
                newest = self._rows.pop()
                pairs = zip(self._rows[::2], self._rows[1::2], strict=True)
                self._rows = [merged(first, second) for first, second in pairs]
                self._rows.append(newest)
                self._stride_s *= 2
        return row

    def mark(self, mark: Mapping[str, Any]) -> None:
        """Take a mark."""
        self._marks.append(dict(mark))
        if len(self._marks) > MARKS:
            del self._marks[MARKS // 2]

    def columns(self) -> dict[str, list[Cell]]:
        """Return the rows, column by column."""
        return {name: [row[position] for row in self._rows] for name, position in _AT.items()}

    @property
    def marks(self) -> list[dict[str, Any]]:
        """The marks, oldest first."""
        return list(self._marks)
