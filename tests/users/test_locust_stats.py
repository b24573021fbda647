"""The bulk update against Locust's own one by one."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from locust.stats import RequestStats

from loadtest.clock import NS_PER_MS
from loadtest.metrics.histogram import Histogram
from loadtest.metrics.tally import Tally
from loadtest.users import locust_stats
from loadtest.users.locust_stats import METHOD, feed


@pytest.fixture(autouse=True)
def one_second(monkeypatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1_000.0)


def histogram(*milliseconds: float) -> Tally:
    made = Histogram()
    made.record_many([round(value * NS_PER_MS) for value in milliseconds])
    return Tally.of([made])


def figures(stats: RequestStats) -> dict:
    return {
        name: (
            entry.num_requests,
            entry.num_none_requests,
            entry.num_failures,
            dict(entry.response_times),
            dict(entry.num_reqs_per_sec),
            dict(entry.num_fail_per_sec),
            entry.last_request_timestamp,
            pytest.approx(entry.avg_response_time, rel=0.002),
            pytest.approx(entry.min_response_time or 0, abs=1e-5),
            pytest.approx(entry.max_response_time, abs=1e-5),
        )
        for name, entry in [*stats.entries.items(), ("total", stats.total)]
    } | {key: error.occurrences for key, error in stats.errors.items()}


def test_bulk_equals_one_by_one() -> None:
    rng = random.Random(1)
    # away from the edges at which Locust rounds, since a histogram knows a value to 0.1 % only
    durations = [value + 0.3 for value in rng.choices([1, 2, 7, 42, 98, 123, 341, 4_460, 22_200], k=500)]
    reasons = Counter({"refused": 3, "timeout_tcp": 1})
    bulk, single = RequestStats(), RequestStats()
    feed(bulk, "connect", histogram(*durations), reasons)
    feed(bulk, "connect", histogram(5.3), Counter({"refused": 1}))
    for duration in [*durations, 5.3]:
        single.log_request(METHOD, "connect", duration, 0)
    for reason in [*reasons.elements(), "refused"]:
        single.log_request(METHOD, "connect", None, 0)
        single.log_error(METHOD, "connect", reason)
    assert figures(bulk) == figures(single)


def test_failures_alone_have_no_duration() -> None:
    stats = RequestStats()
    feed(stats, "connect", Tally(), Counter({"refused": 5}))
    entry = stats.get("connect", METHOD)
    assert (entry.num_requests, entry.num_none_requests, entry.num_failures) == (5, 5, 5)
    assert entry.fail_ratio == 1
    assert entry.avg_response_time == 0


def test_nothing_happened_makes_no_entry() -> None:
    stats = RequestStats()
    feed(stats, "publish", Tally(), Counter())
    assert stats.entries == {}


def test_the_charts_of_the_web_ui_have_a_past(monkeypatch) -> None:
    stats = RequestStats()
    for second, duration in enumerate([5, 50, 500]):
        monkeypatch.setattr(locust_stats.time, "time", lambda second=second: 2_000.0 + second)
        feed(stats, "fan-out", histogram(duration))
    assert {2_000, 2_001} <= stats.total.response_times_cache.keys()
    assert stats.total.response_times_cache[2_000].response_times == {5: 1}


def test_a_long_run_does_not_grow_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    stats = RequestStats()
    for second in range(3 * locust_stats.MOST_SECONDS):
        monkeypatch.setattr("time.time", lambda second=second: 1_000.0 + second)
        feed(stats, "fan-out", histogram(1.0), Counter(refused=1))
    for entry in (stats.total, stats.entries["fan-out", METHOD]):
        assert len(entry.num_reqs_per_sec) <= locust_stats.MOST_SECONDS
        assert len(entry.num_fail_per_sec) <= locust_stats.MOST_SECONDS
        assert entry.num_requests == 2 * 3 * locust_stats.MOST_SECONDS
        assert entry.current_rps == 2
