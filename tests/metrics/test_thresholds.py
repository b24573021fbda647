from __future__ import annotations

import copy
from typing import Any

import pytest

from loadtest.errors import ExitCode, UsageError
from loadtest.metrics.phase_figures import PhaseFigures
from loadtest.metrics.report import Second
from loadtest.metrics.thresholds import METRICS, Outcome, evaluate, parse

LATENCY = {"count": 9, "min": 1.0, "p50": 2.0, "p90": 3.0, "p99": 249.9, "p99.9": 300.0, "max": 400.0}
PERCENT = {"50": 1.0, "90": 2.0, "99": 3.0, "99.9": 4.0, "100": None}
RUN: dict[str, Any] = {
    "connections": {"peak": 5_000, "attempts": 1_000, "failures": {"refused": 3, "timeout": 2}, "connect_ms": LATENCY},
    "fanout": {
        "published": 10, "expected": 1_000, "delivered": 998, "lost": 2, "duplicated": 1, "reordered": 0,
        "completeness": 0.998, "latency_ms": LATENCY, "uncorrected_ms": LATENCY,
        "ttk_ms": {"50": {"p50": 1.0, "p99": 2.0}, "99": {"p50": 3.0, "p99": 4.0}, "100": {"p50": 5.0, "p99": None}},
        "by_class": {"throughout": {"expected": 500, "delivered": 500, "lost": 0}},
    },
    "events": [
        {
            "name": "deploy", "population": 4_000, "dropped": 1_000,
            "recovery": {
                "t_conn_s": PERCENT, "t_sub_s": PERCENT, "t_svc_s": 8.0, "t_rec_s": None, "amplification": 1.25,
                "secondary_drops": 4, "lost": 17, "outage_s_mean": 2.5, "blast_radius": 0.25, "degraded": 0.5,
                "others_p99_ratio": 1.04, "others": {"judged": 12},
            },
        },
        {
            "name": "freeze", "population": 4_000, "dropped": 0,
            "recovery": {"blast_radius": 0.0, "degraded": None, "others_p99_ratio": None, "others": {"judged": 12}},
        },
        {
            "name": "all", "population": 4_000, "dropped": 4_000,
            "recovery": {"blast_radius": 1.0, "degraded": 0.0, "others_p99_ratio": None, "others": {"judged": 0}},
        },
    ],
    "generator": {"lateness_p99_ms": 0.5, "loop_lag_p99_ms": 2.0, "cpu_max_percent": 85.0, "clock_error_ms": 0.0,
                  "workers_lost": 0},
}  # fmt: skip


@pytest.mark.parametrize(
    ("expr", "value", "verdict"),
    [
        ("fanout.latency.p99 < 250ms", 249.9, "PASS"),
        ("fanout.latency.p99<0.2499s", 249.9, "FAIL"),
        ("fanout.latency.p99 <= 0.2499s", 249.9, "PASS"),
        ("fanout.latency.p99.9 == 300ms", 300.0, "PASS"),
        ("fanout.uncorrected.max != 400ms", 400.0, "FAIL"),
        ("fanout.ttk.99.p50 > 2ms", 3.0, "PASS"),
        ("fanout.ttk.100.p99 < 10s", None, "FAIL"),
        ("fanout.completeness >= 99.8%", 0.998, "PASS"),
        ("fanout.completeness >= 0.999", 0.998, "FAIL"),
        ("fanout.published >= 10", 10.0, "PASS"),
        ("delivery.loss <= 0.2%", 0.002, "PASS"),
        ("delivery.lost == 0", 2.0, "FAIL"),
        ("delivery.duplicated < 2", 1.0, "PASS"),
        ("delivery.duplication < 1%", 1 / 998, "PASS"),
        ("delivery.reordered == 0", 0.0, "PASS"),
        ("delivery.disorder == 0%", 0.0, "PASS"),
        ("delivery.throughout.loss == 0", 0.0, "PASS"),
        ("connections.failures.rate < 0.5%", 0.005, "FAIL"),
        ("connections.peak >= 5k", 5_000.0, "PASS"),
        ("connections.connect.p50 < 1s", 2.0, "PASS"),
        ("events.deploy.t_conn.99.9 < 5s", 4.0, "PASS"),
        ("events.deploy.t_sub.50 < 1000ms", 1.0, "FAIL"),
        ("events.deploy.t_sub.100 < 1h", None, "FAIL"),
        ("events.deploy.t_svc < 1m", 8.0, "PASS"),
        ("events.deploy.t_rec < 1m", None, "FAIL"),
        ("events.deploy.amplification <= 1.25", 1.25, "PASS"),
        ("events.deploy.amplification <= 120%", 1.25, "FAIL"),
        ("events.deploy.secondary_drops < 5", 4.0, "PASS"),
        ("events.deploy.lost < 17", 17.0, "FAIL"),
        ("events.deploy.dropped_share == 25%", 0.25, "PASS"),
        ("events.deploy.blast_radius < 11%", 0.25, "FAIL"),
        ("events.deploy.degraded <= 50%", 0.5, "PASS"),
        ("events.deploy.others_p99_ratio <= 1.05", 1.04, "PASS"),
        ("events.freeze.blast_radius == 0", 0.0, "PASS"),
        ("events.freeze.degraded < 1%", None, "NO_DATA"),
        ("events.freeze.others_p99_ratio <= 1.10", None, "FAIL"),
        ("events.all.others_p99_ratio <= 1.10", None, "NO_DATA"),
        ("events.deploy.outage < 3s", 2.5, "PASS"),
        ("events.other.t_sub.50 < 1s", None, "NO_DATA"),
        ("generator.lateness.p99 < 1ms", 0.5, "PASS"),
        ("generator.loop_lag.p99 < 1ms", 2.0, "FAIL"),
        ("generator.cpu_max < 90%", 85.0, "PASS"),
        ("generator.clock_error == 0", 0.0, "PASS"),
        ("workers_lost == 0", 0.0, "PASS"),
        ("fanout.latency.p99 < 250ms during hold", None, "NO_DATA"),
    ],
)
def test_thresholds_are_judged_in_the_units_of_run_json(expr: str, value: float | None, verdict: str) -> None:
    outcome = evaluate(parse(expr), RUN)
    assert outcome.as_json() == {"expr": expr, "value": value, "verdict": verdict}
    assert outcome.failed == (verdict != "PASS")


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_no_data_is_never_a_pass(metric: Any) -> None:
    bound = {"ms": "1ms", "s": "1s", "ratio": "1%", "percent": "1%", "count": "1"}[metric.unit]
    for op in ("<", ">", "!="):
        threshold = parse(f"{metric.name.replace('<name>', 'deploy')} {op} {bound}")
        assert evaluate(threshold, {}).verdict == "NO_DATA"
        assert evaluate(threshold, {"events": [{"name": "deploy"}], "fanout": None}).verdict == "NO_DATA"


@pytest.mark.parametrize(
    ("key", "expr"),
    [
        (("fanout", "expected"), "delivery.lost == 2"),
        (("fanout", "expected"), "delivery.loss < 100%"),
        (("fanout", "delivered"), "delivery.reordered == 0"),
        (("fanout", "latency_ms", "count"), "fanout.latency.p99 < 1h"),
        (("connections", "attempts"), "connections.failures.rate < 100%"),
        (("fanout", "by_class", "throughout", "expected"), "delivery.throughout.loss == 0"),
    ],
)
def test_a_figure_about_nothing_is_no_data(key: tuple[str, ...], expr: str) -> None:
    run = copy.deepcopy(RUN)
    parent = run
    for part in key[:-1]:
        parent = parent[part]
    assert evaluate(parse(expr), run).verdict == "PASS"
    parent[key[-1]] = 0
    assert evaluate(parse(expr), run) == Outcome(expr, None, "NO_DATA")


def test_a_recovery_of_nobody_is_no_data() -> None:
    run = {"events": [RUN["events"][0] | {"population": 0}]}
    assert evaluate(parse("events.deploy.t_sub.100 < 1s"), run).verdict == "NO_DATA"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "3", True])
def test_what_is_no_number_is_no_data(value: object) -> None:
    run = {"generator": {"lateness_p99_ms": value}}
    assert evaluate(parse("generator.lateness.p99 != 1ms"), run).verdict == "NO_DATA"


def test_during_reads_the_figures_of_the_phase() -> None:
    run = RUN | {"phases": {"hold": {"fanout": {"latency_ms": LATENCY | {"p99": 7.0}}}}}
    assert evaluate(parse("fanout.latency.p99 < 8ms during hold"), run).value == 7.0
    assert evaluate(parse("fanout.latency.p99 < 8ms during ramp"), run).verdict == "NO_DATA"


def test_whatever_may_be_asked_by_phase_is_kept_by_phase() -> None:
    phases = PhaseFigures()
    phases.begin("hold", 0)
    phases.add_second(0, Second(2, 1, 1))
    kept = {"phases": phases.figures()}
    for metric in METRICS:
        parent = kept["phases"]["hold"]
        for key in metric.path[:-1] if metric.by_phase else ():
            parent = parent[key]
        assert not metric.by_phase or metric.path[-1] in parent
    assert evaluate(parse("delivery.loss < 60% during hold"), kept) == Outcome(
        "delivery.loss < 60% during hold", 0.5, "PASS"
    )


def test_grammar_reads_phase_abort_and_event_names_with_dots() -> None:
    threshold = parse("  fanout.latency.p99<= 1m30s during hold abort ")
    assert (threshold.op, threshold.bound, threshold.phase, threshold.abort) == ("<=", 90_000.0, "hold", True)
    assert threshold.expr == "fanout.latency.p99<= 1m30s during hold abort"
    threshold = parse("events.eu.west-1.t_sub.99.9 < 2 min abort")
    assert (threshold.event, threshold.metric.name) == ("eu.west-1", "events.<name>.t_sub.99.9")
    assert (threshold.bound, threshold.phase, threshold.abort) == (120.0, None, True)


def test_only_a_measured_failure_aborts() -> None:
    threshold = parse("events.deploy.t_sub.100 < 1s abort")
    assert threshold.aborts(Outcome(threshold.expr, 2.0, "FAIL"))
    assert not threshold.aborts(Outcome(threshold.expr, None, "FAIL"))
    assert not threshold.aborts(Outcome(threshold.expr, None, "NO_DATA"))
    assert not threshold.aborts(Outcome(threshold.expr, 0.5, "PASS"))
    assert not parse("events.deploy.t_sub.100 < 1s").aborts(Outcome(threshold.expr, 2.0, "FAIL"))


@pytest.mark.parametrize(
    ("expr", "complaint"),
    [
        ("", "expected metric"),
        ("fanout.latency.p99", "expected metric"),
        ("fanout.latency.p99 = 3ms", "expected metric"),
        ("fanout.latency.p99 < 3ms < 4ms", "expected metric"),
        ("fanout.latency.p98 < 3ms", "did you mean fanout.latency.p99"),
        ("events.deploy.t_subb.99 < 1s", "did you mean events.deploy.t_sub.99"),
        ("events.t_sub.99 < 1s", "did you mean events.<name>.t_sub.99"),
        ("events.deploy.t_sub.98 < 1s", "unknown metric"),
        ("nonsense < 1", "known are connections.failures.rate"),
        ("fanout.latency.p99 < 250", 'found "250", expected a duration'),
        ("fanout.latency.p99 < 5%", 'found "5%", expected a duration'),
        ("fanout.completeness > 1s", 'found "1s", expected a ratio such as'),
        ("generator.cpu_max < 80", 'found "80", expected a percentage such as 80%'),
        ("delivery.lost < 1.5", 'found "1.5", expected a whole number'),
        ("delivery.lost < -1", 'found "-1", expected a whole number'),
        ("delivery.loss < 1e-3", 'found "1e-3", expected a ratio'),
        ("fanout.latency.p99 < 1s during lunch", 'unknown phase "lunch", one of ramp, warmup, hold, drain'),
        ("events.deploy.t_svc < 1s during hold", 'leave out "during hold"'),
        ("fanout.latency.p99 < 1s abort abort", "threshold"),
        ("delivery.duplicated == 0 during hold", "delivery.duplicated is not kept by phase, only connections.fail"),
        ("fanout.uncorrected.p99 < 1s during hold", "fanout.latency.*, fanout.completeness, delivery.loss"),
        ("connections.peak >= 5k abort", "would end the run at once"),
        ("delivery.lost != 0 abort", "a count begins at 0"),
    ],
)
def test_a_wrong_threshold_is_refused_with_the_remedy(expr: str, complaint: str) -> None:
    with pytest.raises(UsageError) as refusal:
        parse(expr)
    assert str(refusal.value).startswith(f'threshold "{expr}": ')
    assert complaint in str(refusal.value)
    assert refusal.value.exit_code is ExitCode.USAGE


def test_a_huge_threshold_is_refused_in_a_short_sentence() -> None:
    with pytest.raises(UsageError) as refusal:
        parse("fanout " * 100_000)
    assert len(str(refusal.value)) < 500


def test_metric_names_are_unique() -> None:
    names = [metric.name for metric in METRICS]
    assert len(names) == len(set(names))
