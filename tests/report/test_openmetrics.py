"""OpenMetrics text, read by the parser of prometheus_client; counts are exact at the buckets' bounds."""

from __future__ import annotations

import io
import math
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from loadtest.metrics.histogram import Histogram
from loadtest.metrics.tally import Tally
from loadtest.report.openmetrics import (
    BUCKETS_S,
    COUNTERS,
    GAUGES,
    HISTOGRAMS,
    Families,
    Live,
    buckets,
    of_run,
    write_openmetrics,
)

MS = 1_000_000


def histogram(*values_ms: float) -> Tally:
    made = Histogram()
    made.record_many([round(value * MS) for value in values_ms])
    return Tally.of([made])


def parsed(found: Families) -> dict[str, Any]:
    text = io.StringIO()
    write_openmetrics(found, text)
    assert text.getvalue().endswith("# EOF\n")
    return {family.name: family for family in text_string_to_metric_families(text.getvalue())}


def value(families: dict[str, Any], sample: str, **labels: str) -> float:
    (found,) = [
        s.value for family in families.values() for s in family.samples if s.name == sample and s.labels == labels
    ]
    return float(found)


def test_finished_run_is_read_by_an_independent_parser(run: dict[str, Any]) -> None:
    run["tags"] = {"git-branch": 'ma"in\\'}
    run["events"][0]["recovery"]["t_sub_s"]["100"] = None
    families = parsed(of_run(run, {"fanout.latency": histogram(1.5, 3, 3, 700), "unknown.tag": histogram(1)}))
    assert set(families) <= {"loadtest_run", *COUNTERS, *GAUGES, *(name for name, _ in HISTOGRAMS.values())}
    assert value(families, "loadtest_deliveries_total") == 3_998_000
    assert value(families, "loadtest_connect_failures_total", reason="http 503") == 21
    assert value(families, "loadtest_recovery_seconds", event="deploy", share="100") == math.inf
    assert value(families, "loadtest_threshold_passed", threshold="delivery.loss == 0") == 1
    (info,) = families["loadtest_run"].samples
    assert info.labels["tag_git_branch"] == 'ma"in\\'
    latency = families["loadtest_fanout_latency_seconds"]
    assert (latency.type, latency.unit) == ("histogram", "seconds")
    assert value(families, "loadtest_fanout_latency_seconds_count") == 4
    assert value(families, "loadtest_fanout_latency_seconds_sum") == pytest.approx(0.7075, rel=1e-3)
    assert value(families, "loadtest_fanout_latency_seconds_bucket", le="0.002") == 1
    assert value(families, "loadtest_fanout_latency_seconds_bucket", le="0.005") == 3
    assert value(families, "loadtest_fanout_latency_seconds_bucket", le="+Inf") == 4


def test_buckets_count_what_is_at_most_the_bound() -> None:
    counts = buckets(histogram(0.05, 0.2, 0.9, 1.1, 150_000), BUCKETS_S)
    assert counts[BUCKETS_S.index(0.0001)] == 1
    assert counts[BUCKETS_S.index(0.001)] == 3
    assert counts[BUCKETS_S.index(0.002)] == 4
    assert counts[-2:] == [4, 5]  # 150 s is beyond the last bound
    assert buckets(Tally(), BUCKETS_S)[-1] == 0


def test_live_counters_rise_and_gauges_follow() -> None:
    live = Live({"profile": "p"})
    for second, subscribed in ((1, 50), (2, 100)):
        live.feed(
            {
                "t_s": float(second),
                "workers": 2,
                "target": 100,
                "connections": {"subscribed": subscribed, "waiting": 0},
                "attempts": 50,
                "drops": 1,
                "failures": {"refused": 2},
                "fanout": {"published": 10},
                "delivery": {"expected": 100, "delivered": 99, "lost": 1},
                "generator": {"loop_lag_p99_ms": 2.0, "cpu_max_percent": None},
            }
        )
        live.measure({"fanout.latency": histogram(3.0), "something.else": histogram(1.0)})
        live.mark({"mark": "hold"})
    families = parsed(live.families)
    assert value(families, "loadtest_connect_attempts_total") == 100
    assert value(families, "loadtest_connect_failures_total", reason="refused") == 4
    assert value(families, "loadtest_deliveries_lost_total") == 2
    assert value(families, "loadtest_connections", state="subscribed") == 100
    assert value(families, "loadtest_generator_lag_seconds") == 0.002
    assert value(families, "loadtest_fanout_latency_seconds_count") == 2
    assert "loadtest_generator_cpu_ratio" not in families


def test_nothing_measured_is_still_a_document() -> None:
    families = parsed(Live({}).families)
    assert set(families) == {"loadtest_run"}


def test_names_that_become_the_same_label_do_not_break_the_text(run: dict[str, Any]) -> None:
    run["tags"] = {"a-b": "1", "a_b": "2", "9": "x"}
    (info,) = parsed(of_run(run, {}))["loadtest_run"].samples
    assert info.labels["tag_a_b"] in ("1", "2")
