"""Notice workers that say nothing for a while, before they count as lost: their figures stand still.

Law: a worker is told of once when it has become silent, and once when it speaks again.
"""

from __future__ import annotations

from loadtest.clock import NS_PER_S
from loadtest.metrics.books import Books

MOST_NAMED = 3
SILENT_S = 5.0
"""Reports come once a second."""


class Silence:
    """Watch the reports of one run's workers."""

    def __init__(self) -> None:
        self._since_ns: dict[int, int] = {}

    def look(self, books: Books, now_ns: int) -> list[str]:
        """Return what has changed since the last look, as sentences."""
        fallen, told = [], []
        for number, gauge in books.workers.items():
            quiet = gauge.t_ns and not gauge.lost and not gauge.final and now_ns - gauge.t_ns > SILENT_S * NS_PER_S
            if quiet and number not in self._since_ns:
                self._since_ns[number] = gauge.t_ns
                fallen.append(f"worker {number} has said nothing for {SILENT_S:g} s: its figures stand still")
            elif not quiet and number in self._since_ns:
                silent_s = (gauge.t_ns - self._since_ns.pop(number)) / NS_PER_S
                if not gauge.lost:
                    told.append(f"worker {number} speaks again, {silent_s:.1f} s after it last did")
        if len(fallen) > MOST_NAMED:
            fallen = [f"{len(fallen)} workers have said nothing for {SILENT_S:g} s: their figures stand still"]
        return fallen + told
