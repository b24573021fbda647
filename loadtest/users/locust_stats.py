"""Shows the books in Locust's own statistics table, in bulk: one update a second, not one event per message.

Law: the table reads as if every duration had been logged by `log_request`, and every failure by `log_request` without a
duration and `log_error`. It is a display that rounds to two digits; figures that decide anything come from run.json.
"""

from __future__ import annotations

import time
from collections import Counter

from locust.stats import RequestStats, StatsEntry, StatsError, bucket_response_time

from loadtest.clock import NS_PER_MS
from loadtest.metrics.sums import Sums
from loadtest.metrics.tally import Tally

METHOD = "WS"
MOST_SECONDS = 600
KEPT_S = 60
"""Locust remembers every second of a run and reads the last twelve: a long run must not grow by it."""


def feed(stats: RequestStats, name: str, tally: Tally, failures: Counter[str] | None = None) -> None:
    """Add an interval's durations and failures under `name`.

    Cost: proportional to the tally's buckets and the reasons, not to what they count.
    """
    failed = sum((failures or {}).values())
    if not tally.count and not failed:
        return
    now = time.time()
    for entry in (stats.total, stats.entries[name, METHOD]):
        _count(entry, tally.count + failed, now)
        _durations(entry, tally)
        if failed:
            entry.num_none_requests += failed
            entry.num_failures += failed
            entry.num_fail_per_sec[int(now)] += failed
    for reason, count in (failures or {}).items():
        key = StatsError.create_key(METHOD, name, reason)
        error = stats.errors.setdefault(key, StatsError(METHOD, name, reason))
        error.occurrences += count


def feed_interval(stats: RequestStats, interval: Sums) -> None:
    """Add one interval of the books: a row each for connects, subscribes, publishes and deliveries."""
    feed(stats, "connect", interval.histograms["connect"], interval.failures)
    feed(stats, "subscribe", interval.histograms["subscribe"])
    feed(stats, "publish", interval.histograms["ack"], interval.publish_failures)
    feed(stats, "fan-out", interval.fanout)


def _count(entry: StatsEntry, requests: int, now: float) -> None:
    second, before = int(now), entry.last_request_timestamp
    if entry.use_response_times_cache and before and second > int(before):
        entry._cache_response_times(second - 1)  # what the web UI's charts are drawn from
    entry.num_requests += requests
    entry.num_reqs_per_sec[second] += requests
    if len(entry.num_reqs_per_sec) > MOST_SECONDS:
        for old in sorted(entry.num_reqs_per_sec)[:-KEPT_S]:
            del entry.num_reqs_per_sec[old]
            entry.num_fail_per_sec.pop(old, None)
    entry.last_request_timestamp = now


def _durations(entry: StatsEntry, tally: Tally) -> None:
    if not tally.count:
        return
    total_ms = 0.0
    for edge_ns, count in tally.buckets():
        milliseconds = edge_ns / NS_PER_MS
        total_ms += milliseconds * count
        entry.response_times[bucket_response_time(milliseconds)] += count
    entry.total_response_time += total_ms  # type: ignore[assignment]  # Locust says int and adds floats itself
    low_ms, high_ms = tally.min_ns / NS_PER_MS, tally.max_ns / NS_PER_MS
    low_before = entry.min_response_time
    entry.min_response_time = low_ms if low_before is None else min(low_before, low_ms)  # type: ignore[assignment]
    entry.max_response_time = max(entry.max_response_time, high_ms)  # type: ignore[assignment]
