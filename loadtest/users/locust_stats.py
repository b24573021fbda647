"""Shows the books in Locust's own statistics table, in bulk: one update a second, not one event per message.

Locust rounds to two digits and counts what it calls requests: it is a display. Figures that decide anything come from
run.json.
"""

from __future__ import annotations

import time
from collections import Counter

from locust.stats import RequestStats, StatsEntry, bucket_response_time

from loadtest.clock import NS_PER_MS
from loadtest.metrics.histogram import Histogram

METHOD = "WS"


def feed(stats: RequestStats, name: str, histogram: Histogram, failures: Counter[str] | None = None) -> None:
    """Add an interval's durations and failures under `name`."""
    for entry in (stats.total, stats.entries[name, METHOD]):
        _add(entry, histogram)
    for reason, count in (failures or {}).items():
        for entry in (stats.total, stats.entries[name, METHOD]):
            second = int(time.time())
            entry.num_requests += count
            entry.num_failures += count
            entry.num_reqs_per_sec[second] = entry.num_reqs_per_sec.get(second, 0) + count
            entry.num_fail_per_sec[second] = entry.num_fail_per_sec.get(second, 0) + count
        stats.log_error(METHOD, name, reason)
        for entry in (stats.total, stats.entries[name, METHOD]):
            entry.num_failures -= 1  # log_error counted one of them
        error = stats.errors[_error_key(stats, name, reason)]
        error.occurrences += count - 1


def _error_key(stats: RequestStats, name: str, reason: str) -> str:
    return next(key for key, error in stats.errors.items() if (error.name, error.error) == (name, reason))


def _add(entry: StatsEntry, histogram: Histogram) -> None:
    if not histogram.count:
        return
    now = time.time()
    second = int(now)
    entry.num_requests += histogram.count
    entry.num_reqs_per_sec[second] = entry.num_reqs_per_sec.get(second, 0) + histogram.count
    entry.last_request_timestamp = now
    for edge_ns, count in histogram.counts.items():
        milliseconds = edge_ns / NS_PER_MS
        entry.total_response_time += round(milliseconds * count)
        key = bucket_response_time(milliseconds)
        entry.response_times[key] = entry.response_times.get(key, 0) + count
    low, high = histogram.min_ns // NS_PER_MS, -(-histogram.max_ns // NS_PER_MS)
    entry.min_response_time = low if entry.min_response_time is None else min(entry.min_response_time, low)
    entry.max_response_time = max(entry.max_response_time, high)
