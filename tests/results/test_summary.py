from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from loadtest.errors import ExitCode
from loadtest.metrics.thresholds import parse
from loadtest.results.schema import validate
from loadtest.results.summary import RunFacts, build_summary, exit_code


def a_worker(number: int, lag_ms: float, cpu_percent: float) -> dict[str, Any]:
    return {
        "worker": number,
        "loop_lag_p99_ms": lag_ms,
        "lateness_p99_ms": None,
        "cpu_max_percent": cpu_percent,
        "worst_ms": 3 * lag_ms,
        "worst_at_s": 12.0,
    }


def stood_still(stood_s: float) -> dict[str, Any]:
    return a_worker(3, 0.1, 5.0) | {"stood_s": stood_s, "stood_until_s": 31.2}


def test_a_run_that_keeps_its_thresholds_passes(facts: RunFacts) -> None:
    run = build_summary(facts)
    assert (run["verdict"], run["reasons"], exit_code(run)) == ("pass", [], ExitCode.PASS)
    assert run["thresholds"] == [
        {"expr": "fanout.latency.p99 < 250ms", "value": 30.0, "verdict": "PASS"},
        {"expr": "events.deploy.t_sub.99.9 <= 4s", "value": 4.0, "verdict": "PASS"},
    ]


def test_every_key_is_there_and_null_where_nothing_was_measured(facts: RunFacts) -> None:
    run = build_summary(facts)
    assert validate(run) == []
    assert run["connections"]["bytes_per_connection"] is None
    assert run["target"] == {"url": "ws://127.0.0.1:1/", "dialect": "socketio", "version": None, "nodes": None}
    assert run["fanout"]["ttk_ms"]["100"] == {"p50": None, "p99": None}
    assert run["unreachable"] is None


def test_failed_thresholds_are_the_reasons(facts: RunFacts) -> None:
    facts.thresholds = [
        parse("fanout.latency.p99 < 5ms"),
        parse("events.deploy.t_svc < 5s"),
        parse("events.other.t_sub.99 < 5s"),
        parse("delivery.loss == 0"),
        parse("connections.failures.rate < 1%"),
    ]
    run = build_summary(facts)
    assert run["verdict"] == "fail"
    assert run["reasons"] == [
        "fanout.latency.p99 < 5ms: measured 30 ms.",
        "events.deploy.t_svc < 5s: not recovered.",
        "events.other.t_sub.99 < 5s: no data.",
        "connections.failures.rate < 1%: measured 3.333 %.",
    ]
    assert exit_code(run) == ExitCode.THRESHOLD_FAILED


@pytest.mark.parametrize(
    ("generator", "verdict", "reason"),
    [
        ({"lateness_p99_ms": 3.0, "loop_lag_p99_ms": 3.0}, "pass", None),
        ({"lateness_p99_ms": 3.001}, "invalid", "publish lateness p99 of 3 ms exceeds 10 % of fanout.latency.p99 (30"),
        ({"loop_lag_p99_ms": 12.0}, "invalid", "loop lag p99 of 12 ms exceeds 10 % of fanout.latency.p99 (30 ms)"),
        ({"workers_lost": 1}, "invalid", "1 worker was lost"),
        ({"workers_lost": 2}, "invalid", "2 workers were lost"),
        ({"lateness_p99_ms": None, "loop_lag_p99_ms": None}, "pass", None),
        ({"workers": [stood_still(10.0)]}, "pass", None),
        ({"workers": [stood_still(20.1)]}, "invalid", "Worker 3 stood still for 20.1 s, until 31 s: what reached"),
    ],
)  # fmt: skip
def test_a_generator_in_its_own_way_is_invalid(
    facts: RunFacts, generator: dict[str, Any], verdict: str, reason: str | None
) -> None:
    run = build_summary(replace(facts, generator={**facts.generator, **generator}))
    assert run["verdict"] == verdict
    assert (reason or "") in " ".join(run["reasons"])
    assert exit_code(run) == (ExitCode.PASS if reason is None else ExitCode.INVALID)


def test_lag_counts_against_the_smallest_gated_percentile_and_none_without_a_gate(facts: RunFacts) -> None:
    late = replace(facts, generator={**facts.generator, "loop_lag_p99_ms": 2.0})
    late.thresholds = [parse("fanout.latency.p99 < 250ms"), parse("fanout.latency.min < 250ms")]
    assert "10 % of fanout.latency.min (10 ms)" in build_summary(late)["reasons"][0]
    late.thresholds = [parse("delivery.loss == 0")]
    assert build_summary(late)["verdict"] == "pass"


def test_lag_counts_against_a_gated_recovery_where_no_message_is_gated(facts: RunFacts) -> None:
    recovered = {**facts.events[0]["recovery"], "t_sub_s": dict.fromkeys(("50", "90", "99", "99.9", "100"), 40.0)}
    facts.events = [{**facts.events[0], "recovery": recovered}]
    facts.thresholds = [parse("events.deploy.t_sub.99 < 60s")]
    facts.generator = {**facts.generator, "loop_lag_p99_ms": 3_999.0}
    assert build_summary(facts)["verdict"] == "pass"
    facts.generator = {**facts.generator, "loop_lag_p99_ms": 4_001.0}
    assert "10 % of events.deploy.t_sub.99 (40000 ms)" in build_summary(facts)["reasons"][0]
    facts.thresholds = [parse("events.deploy.t_sub.99 < 60s"), parse("fanout.latency.p99 < 250ms")]
    assert "10 % of fanout.latency.p99 (30 ms)" in build_summary(facts)["reasons"][0]


@pytest.mark.parametrize(("cpu", "cure"), [(99.0, "more workers"), (30.0, "something else takes its CPU")])
def test_one_drowning_worker_is_named_although_all_of_them_together_look_well(
    facts: RunFacts, cpu: float, cure: str
) -> None:
    workers = [a_worker(0, 1.0, 20.0), a_worker(1, 120.0, cpu), a_worker(2, 2.0, 20.0)]
    facts.generator = {**facts.generator, "loop_lag_p99_ms": 2.0, "workers": workers}
    run = build_summary(facts)
    assert run["verdict"] == "invalid"
    assert "loop lag p99 of 120 ms exceeds 10 % of fanout.latency.p99 (30 ms)" in run["reasons"][0]
    assert f"Worker 1 had it worst, 360 ms at 12 s with {cpu:.0f} % CPU at most" in run["reasons"][0]
    assert cure in run["reasons"][0]
    facts.thresholds = []
    assert build_summary(facts)["verdict"] == "pass"
    workers[1]["loop_lag_p99_ms"] = 251.0
    assert "251 ms exceeds 250 ms" in build_summary(facts)["reasons"][0]


def with_queue(facts: RunFacts, p99_ms: float, cpu_percent: float) -> RunFacts:
    queue = {"p99_ms": p99_ms, "worst_ms": 2 * p99_ms, "worst_at_s": 12.0, "cpu_percent": cpu_percent}
    workers = [a_worker(0, 1.0, 99.0) | {"receive_queue": None}]
    workers += [a_worker(1, 1.0, 99.0) | {"receive_queue": queue}]
    return replace(facts, generator={**facts.generator, "workers": workers})


@pytest.mark.parametrize(
    ("expr", "p99_ms", "cpu_percent", "verdict"),
    [
        ("fanout.latency.p99 < 250ms", 25.0, 40.0, "pass"),  # a burst: it passes with the queue, so also without
        ("fanout.latency.p99 < 250ms", 25.0, 85.0, "invalid"),  # a reader that could not keep up
        ("fanout.latency.p99 < 250ms", 2.9, 100.0, "pass"),  # below 10 % of the measured 30 ms
        ("fanout.latency.p99 < 20ms", 15.0, 40.0, "invalid"),  # 30 ms, of which 15 are our own: who failed?
        ("fanout.latency.p99 < 20ms", 9.0, 40.0, "fail"),  # 21 ms are the target's
        ("fanout.latency.p99 < 29ms", 2.0, 40.0, "fail"),  # the queue decides, but is within 10 %
        ("fanout.uncorrected.p99 < 20ms", 15.0, 40.0, "invalid"),
        ("fanout.ttk.99.p99 < 20ms", 15.0, 40.0, "fail"),  # never reached
        ("delivery.loss == 0", 200.0, 90.0, "pass"),  # nothing gated: a quarter of a second is let pass
        ("delivery.loss == 0", 251.0, 90.0, "invalid"),
        ("delivery.loss == 0", 251.0, 79.0, "pass"),
    ],
)
def test_the_receive_queue_counts_where_the_reader_was_busy_or_where_it_decides(
    facts: RunFacts, expr: str, p99_ms: float, cpu_percent: float, verdict: str
) -> None:
    facts = with_queue(facts, p99_ms, cpu_percent)
    facts.thresholds = [parse(expr)]
    run = build_summary(facts)
    assert run["verdict"] == verdict, run["reasons"]
    if verdict == "invalid":
        (why, *_) = run["reasons"]
        assert f"{p99_ms:.3g} ms (p99)" in why
        assert f"Worker 1 had it worst, {2 * p99_ms:.3g} ms at 12 s with {cpu_percent:.0f} % CPU: " in why
        assert "more workers" in why


def test_interrupted_beats_invalid_beats_fail(facts: RunFacts) -> None:
    facts.thresholds = [parse("fanout.latency.p99 < 5ms")]
    facts.invalid_reasons = ["The clock jumped."]
    run = build_summary(facts)
    assert run["verdict"] == "invalid"
    assert run["reasons"] == ["The clock jumped.", "fanout.latency.p99 < 5ms: measured 30 ms."]
    facts.interrupted = "Interrupted by Ctrl-C in the hold phase."
    run = build_summary(facts)
    assert run["verdict"] == "interrupted"
    assert run["reasons"][0] == "Interrupted by Ctrl-C in the hold phase."
    assert exit_code(run) == ExitCode.INTERRUPTED == 130


def test_an_unreachable_target_fails_with_its_own_exit_code(facts: RunFacts) -> None:
    facts.unreachable = "ws://127.0.0.1:1/: connection refused."
    facts.invalid_reasons = ["2 workers were lost during the run."]
    run = build_summary(facts)
    assert run["verdict"] == "fail"
    assert run["reasons"] == [facts.unreachable, *facts.invalid_reasons]
    assert exit_code(run) == ExitCode.UNREACHABLE
    assert validate(run) == []


def test_nan_and_infinity_never_reach_json(facts: RunFacts) -> None:
    facts.fanout = {**facts.fanout, "completeness": float("nan"), "ttk_ms": {"50": {"p50": 1.0, "p99": float("inf")}}}
    facts.extra = {"note": float("inf"), "schema": "mine", "verdict": "mine"}
    run = build_summary(facts)
    assert run["fanout"]["completeness"] is None
    assert run["fanout"]["ttk_ms"]["50"] == {"p50": 1.0, "p99": None}
    assert run["note"] is None
    assert (run["schema"], run["verdict"]) == ("loadtest.run/1", "pass")
    json.dumps(run, allow_nan=False)


def test_an_unknown_verdict_is_not_a_pass() -> None:
    assert exit_code({}) == ExitCode.THRESHOLD_FAILED
