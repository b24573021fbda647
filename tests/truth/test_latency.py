"""`loadtest run` against the calibrated target: every latency, count and time to k % by both accounts."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from statistics import fmean, pstdev

import pytest

from tests.truth.scenario import TIMES, Outcome, Scenario, agreeing, disagreements, run

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("no_leftovers")]

STALL_S = 2.0


def test_delays_from_one_millisecond_to_five_seconds(tmp_path) -> None:
    script = {"delay": ["loguniform", 1, 5000]}
    outcome = agreeing(Scenario(script, rate_per_s=60, arrival="poisson", duration_s=5, deadline_s=6), tmp_path)
    assert outcome.fanout["latency_ms"]["p50"] > 50
    assert outcome.fanout["latency_ms"]["p99.9"] > 4_500
    assert outcome.fanout["delivered"] > 7_000


def test_bursts_to_everybody_at_once_with_one_constant_delay(tmp_path) -> None:
    script = {"delay": ["constant", 1], "burst_s": 0.5}
    queue_ms = 20 * 30 * 0.02  # 20 publishes of half a second to 30 members each, read in 20 us each
    outcome = agreeing(Scenario(script, duration_s=4, deadline_s=2, queue_ms=queue_ms), tmp_path)
    assert 100 < outcome.fanout["latency_ms"]["p50"] < 400


def test_a_stall_of_two_seconds_shows_for_every_publish_scheduled_in_it(tmp_path) -> None:
    script = {"delay": ["constant", 100], "stall_at_s": 3, "stall_s": STALL_S}
    outcome = agreeing(Scenario(script, rate_per_s=50, duration_s=8, deadline_s=4), tmp_path)
    latency = outcome.fanout["latency_ms"]
    assert latency["max"] >= latency["p99.9"] > 1000 * STALL_S * 0.95

    times_ns = sorted(publish.sched_ns for publish in outcome.account.publishes)
    gaps_ns = {later - earlier for earlier, later in pairwise(times_ns)}
    assert max(gaps_ns) - min(gaps_ns) <= 1, "the schedule must not wait for the target"
    ((begin, end),) = outcome.account.facts["stalls"]
    inside = [publish for publish in outcome.account.publishes if begin <= publish.sched_ns < end]
    assert len(inside) == pytest.approx(50 * STALL_S, abs=2)
    for at_least_s in (0.5, 1.0, 1.5):  # a closed loop would show one of them
        slow = sum(publish.members for publish in inside if end - publish.sched_ns >= at_least_s * 1e9)
        logged = logged_at_least(outcome, "fanout.latency", at_least_s)
        true = sum(latency_ns >= at_least_s * 1e9 for latency_ns in outcome.truth.latencies)
        near = sum(abs(latency_ns - at_least_s * 1e9) < 0.02e9 for latency_ns in outcome.truth.latencies)
        assert abs(logged - true) <= near
        assert logged >= slow


@pytest.mark.parametrize("arrival", ["poisson", "burst"])
def test_publishes_leave_by_the_schedule_that_the_profile_names(arrival: str, tmp_path) -> None:
    outcome = run(Scenario({}, rate_per_s=40, arrival=arrival, duration_s=3, deadline_s=1, channels=5), tmp_path)
    assert [found for found in disagreements(outcome) if not found.startswith(TIMES)] == []
    times_ns = sorted(publish.sched_ns for publish in outcome.account.publishes)
    gaps_ms = [(later - earlier) / 1e6 for earlier, later in pairwise(times_ns)]
    if arrival == "burst":  # "top of the hour": all of a second at its start, every time
        assert set(map(round, gaps_ms)) == {0, 1_000}
        assert gaps_ms.count(0) == 39 * (len(times_ns) // 40)
    else:
        assert fmean(gaps_ms) == pytest.approx(25, rel=0.25)
        assert pstdev(gaps_ms) == pytest.approx(25, rel=0.35)  # exponential: as wide as its mean
    sent_late_ms = [publish.late_ns / 1e6 for publish in outcome.account.publishes]
    assert sum(late > 100 for late in sent_late_ms) < len(sent_late_ms) / 10


def logged_at_least(outcome: Outcome, tag: str, seconds: float) -> int:
    """Return how many of a histogram's values are at least `seconds`."""
    count = 0
    for histogram in outcome.logged(tag):
        items: Iterable = histogram.get_recorded_iterator()
        count += sum(item.count_added_in_this_iter_step for item in items if item.value_iterated_to >= seconds * 1e9)
    return count
