"""Time to k % of subscribers, per message, exact over all workers (METRICS.md, TTK_m(k)).

Law: a message's parts are kept as they come; when no more can come it is settled: the ceil(k * |E_m| / 100)-th smallest
latency of all its parts goes into the histogram of k, or counts as never when fewer were delivered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from loadtest.clock import NS_PER_MS
from loadtest.metrics.distribution import Distribution, rank
from loadtest.metrics.histogram import Histogram
from loadtest.metrics.packed import HIGHEST_NS
from loadtest.metrics.tally import Tally
from loadtest.metrics.traces import Trace, Traces

SHARES = (50, 99, 100)
MOST_OPEN = 200_000


@dataclass(slots=True)
class _Message:
    since_ns: int
    expected: int = 0
    parts: list[Trace] = field(default_factory=list)


@dataclass(slots=True)
class Reached:
    """What became of the messages of some stretch of time: how many were followed, and by share when it was reached.

    `never` counts messages that did not get to a share of their subscribers before they were lost.
    """

    traced: int = 0
    reached: dict[int, Tally] = field(default_factory=lambda: {share: Tally() for share in SHARES})
    never: dict[int, int] = field(default_factory=lambda: dict.fromkeys(SHARES, 0))

    def add(self, other: Reached) -> None:
        """Merge."""
        self.traced += other.traced
        for share in SHARES:
            self.reached[share].add(other.reached[share])
            self.never[share] += other.never[share]


class TimeToShare:
    """Follow messages to their last subscriber.

    `total` holds messages with at least one eligible subscriber; `skipped` counts those that came when too many were
    open.
    """

    def __init__(self) -> None:
        self.total = Reached()
        self.skipped = 0
        self._open: dict[tuple[int, int, int], _Message] = {}

    def add(self, traces: Traces, at_ns: int) -> None:
        """Take one worker's parts of messages, reported at `at_ns`."""
        for trace in traces:
            message = self._open.get(trace.message)
            if message is None:
                if len(self._open) >= MOST_OPEN:
                    self.skipped += 1
                    continue
                message = self._open[trace.message] = _Message(at_ns)
            message.expected += trace.expected
            if trace.indices.size:
                message.parts.append(trace)

    def settle(self, before_ns: int) -> Reached:
        """Settle every message whose first part came before `before_ns`; return what became of them."""
        settled = Reached()
        times: dict[int, list[int]] = {share: [] for share in SHARES}
        for key in [key for key, message in self._open.items() if message.since_ns <= before_ns]:
            message = self._open.pop(key)
            if not message.expected:
                continue
            settled.traced += 1
            found = _times_ns(message, [rank(share, message.expected) for share in SHARES])
            for share, time_ns in zip(SHARES, found, strict=True):
                if time_ns is None:
                    settled.never[share] += 1
                else:
                    times[share].append(time_ns)
        for share, times_ns in times.items():
            histogram = Histogram()
            histogram.record_many(times_ns)
            settled.reached[share] = Tally.of([histogram])
        self.total.add(settled)
        return settled


def _times_ns(message: _Message, ranks: list[int]) -> list[int | None]:
    """Return the ranks-th smallest latencies (ascending ranks) over all parts; None where fewer were delivered."""
    parts = message.parts
    if not parts:
        return [None] * len(ranks)
    indices = np.concatenate([part.indices for part in parts])
    order = indices.argsort(kind="stable")
    reached = np.concatenate([part.counts for part in parts])[order].cumsum()
    delivered = int(reached[-1])
    at = indices[order[np.searchsorted(reached, [min(wanted, delivered) for wanted in ranks])]]
    low_ns, high_ns = min(part.min_ns for part in parts), max(part.max_ns for part in parts)
    times_ns = np.clip(HIGHEST_NS[at], low_ns, high_ns).tolist()
    return [time_ns if wanted <= delivered else None for wanted, time_ns in zip(ranks, times_ns, strict=True)]


def figures(reached: Mapping[int, Distribution], never: Mapping[int, int]) -> dict[str, dict[str, float | None]]:
    """Return "ttk_ms" of run.json: p50 and p99 over messages, None when that many never got there."""
    return {
        str(share): {f"p{percent}": _percentile_ms(reached[share], never[share], percent) for percent in (50, 99)}
        for share in SHARES
    }


def _percentile_ms(reached: Distribution, never: int, percent: int) -> float | None:
    of_all = reached.count + never
    if not of_all or rank(percent, of_all) > reached.count:
        return None
    return reached.at_ranks_ns([rank(percent, of_all)])[0] / NS_PER_MS
