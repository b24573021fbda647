"""Time to k % of subscribers, per message, exact over all workers (METRICS.md, TTK_m(k)).

Law: a message's parts are merged as they come; when no more can come it is settled: the ceil(k * |E_m| / 100)-th
smallest latency goes into the histogram of k, or counts as never when fewer were delivered.
"""

from __future__ import annotations

from typing import Any

from loadtest.clock import NS_PER_MS
from loadtest.metrics.histogram import Histogram, rank

SHARES = (50, 99, 100)
MOST_OPEN = 200_000

Key = tuple[int, int, int]


class TimeToShare:
    """Follow messages to their last subscriber.

    `traced` counts messages with at least one eligible subscriber; `skipped` those that came when too many were open.
    """

    def __init__(self) -> None:
        self.traced = 0
        self.skipped = 0
        self._open: dict[Key, list[Any]] = {}
        self._reached = {share: Histogram() for share in SHARES}
        self._never = dict.fromkeys(SHARES, 0)

    def add(self, message: Key, expected: int, latencies: Histogram, at_ns: int) -> None:
        """Merge one worker's part of `message`."""
        entry = self._open.get(message)
        if entry is None:
            if len(self._open) >= MOST_OPEN:
                self.skipped += 1
                return
            entry = self._open[message] = [at_ns, 0, Histogram()]
        entry[1] += expected
        entry[2].add(latencies)

    def settle(self, before_ns: int) -> None:
        """Settle every message whose first part came before `before_ns`."""
        for message in [key for key, entry in self._open.items() if entry[0] <= before_ns]:
            _, expected, latencies = self._open.pop(message)
            if not expected:
                continue
            self.traced += 1
            for share in SHARES:
                needed = rank(share, expected)
                if needed > latencies.count:
                    self._never[share] += 1
                else:
                    self._reached[share].record(latencies.at_ranks_ns([needed])[0])

    def figures(self) -> dict[str, dict[str, float | None]]:
        """Return "ttk_ms" of run.json: p50 and p99 over messages, None when that many never got there."""
        return {
            str(share): {f"p{percent}": self._percentile_ms(share, percent) for percent in (50, 99)} for share in SHARES
        }

    def _percentile_ms(self, share: int, percent: int) -> float | None:
        reached = self._reached[share]
        of_all = reached.count + self._never[share]
        if not of_all or rank(percent, of_all) > reached.count:
            return None
        return reached.at_ranks_ns([rank(percent, of_all)])[0] / NS_PER_MS
