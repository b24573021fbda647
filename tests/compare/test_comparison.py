from __future__ import annotations

import json

import pytest

from loadtest.compare.comparison import compare
from loadtest.compare.group import Group
from loadtest.errors import ResultsError, UsageError
from loadtest.results.plain import to_line

from .runs import around, make_group, make_record, make_run


def test_slower_fanout_is_worse_and_named() -> None:
    (one,) = compare([make_group("a", around(2.0)), make_group("b", around(2.5, seed=2))]).versus
    assert one.verdict == "worse"
    assert {f.metric for f in one.of("worse")} == {"fanout.latency.p50", "fanout.latency.p90", "fanout.latency.p99"}
    (p50,) = [f for f in one.findings if f.metric == "fanout.latency.p50"]
    assert p50.ratio is not None
    assert p50.ratio.value == pytest.approx(1.25, abs=0.06)
    assert (p50.ratio.low or 0) > 1.1
    assert p50.delta == 1


def test_faster_is_better_and_equal_is_no_difference() -> None:
    slow, fast = make_group("slow", around(2.5)), make_group("fast", around(2.0, seed=2))
    again = make_group("again", around(2.5, seed=3))
    better, equal = compare([slow, fast, again]).versus
    assert (better.verdict, equal.verdict) == ("better", "no difference")


def test_every_group_is_held_against_the_first_under_a_name_of_its_own() -> None:
    comparison = compare([make_group("a", around(2.0)) for _ in range(3)])
    assert [group.name for group in comparison.groups] == ["a (1)", "a (2)", "a (3)"]
    assert [one.baseline.name for one in comparison.versus] == ["a (1)", "a (1)"]


def test_blast_radius_is_judged_where_an_event_left_anybody_connected() -> None:
    def group(name: str, radius: float) -> Group:
        runs = [make_run(at, name, p50) for at, p50 in enumerate(around(2.0))]
        for run in runs:
            run["events"][0]["recovery"] |= {"blast_radius": radius, "others_p99_ratio": 1.01, "others": {"judged": 9}}
        return Group(name, tuple(map(make_record, runs)))

    (whole,) = compare([group("a", 1.0), group("b", 1.0)]).versus
    assert not {f.metric for f in whole.findings} & {"events.deploy.blast_radius", "events.deploy.others_p99_ratio"}
    (part,) = compare([group("a", 1.0), group("b", 0.1)]).versus
    assert "events.deploy.blast_radius" in {f.metric for f in part.of("better")}
    assert "events.deploy.others_p99_ratio" in {f.metric for f in part.findings}


def test_three_runs_cannot_tell() -> None:
    (one,) = compare([make_group("a", [2.0, 2.1, 2.05]), make_group("b", [9.0, 9.1, 9.05])]).versus
    assert (one.verdict, one.too_few) == ("cannot tell", True)


def test_not_recovered_is_worse_than_recovered() -> None:
    a = make_group("a", around(2.0))
    b = Group("b", tuple(make_record(make_run(at, "b", p50, None)) for at, p50 in enumerate(around(2.0, seed=2))))
    (one,) = compare([a, b]).versus
    assert "events.deploy.t_rec" in {finding.metric for finding in one.of("worse")}
    entry = next(f for f in one.findings if f.metric == "events.deploy.t_rec").as_json()
    assert json.loads(to_line(entry))["candidate"] is None
    assert entry["difference"] is None


def test_a_run_without_the_metric_is_named_and_missing_from_it_only() -> None:
    a, b = make_group("a", around(2.0)), make_group("b", around(2.0, seed=2))
    b.runs[1].run["fanout"]["latency_ms"] = {"count": 0}
    (one,) = compare([a, b]).versus
    assert "b: no fanout.latency.p50 in run-b-1." in one.warnings
    p50, loss = (next(f for f in one.findings if f.metric == name) for name in ("fanout.latency.p50", "delivery.loss"))
    assert [value is None for value in p50.values[1]] == [False, True, False, False, False]
    assert None not in loss.values[1]


def test_metric_that_no_run_has_is_refused_when_asked_for() -> None:
    groups = [make_group("a", around(2.0)), make_group("b", around(2.0))]
    with pytest.raises(ResultsError, match=r"events\.nova\.t_rec: none of the 10 runs has it"):
        compare(groups, ["events.nova.t_rec"])
    with pytest.raises(UsageError, match=r"did you mean fanout\.latency\.p99"):
        compare(groups, ["fanout.latency.p98"])


def test_one_group_is_no_comparison() -> None:
    with pytest.raises(UsageError, match="at least two versions"):
        compare([make_group("a", [1.0])])


def test_clock_error_keeps_one_way_latencies_from_being_ranked() -> None:
    a, b = make_group("a", around(2.0)), make_group("b", around(2.5, seed=2))
    for record in (*a.runs, *b.runs):
        record.run["generator"]["clock_error_ms"] = 4.0
    (one,) = compare([a, b]).versus
    assert {f.verdict for f in one.findings if f.metric.startswith("fanout.")} == {"cannot tell"}
    assert "clocks' error of 8 ms" in one.of("cannot tell")[0].reason


def test_one_run_each_has_an_interval_from_its_inside_and_no_verdict() -> None:
    def line(p50: float) -> dict[str, object]:
        keys = {"p50_ms": p50, "p90_ms": p50 * 2, "p99_ms": p50 * 3, "max_ms": p50 * 4}
        return {"t_s": 1.0, "phase": "hold", "fanout": {"delivered": 1000, **keys}}

    groups = [
        Group(name, (make_record(make_run(0, name, p50), intervals=[line(p50 * f) for f in (0.9, 1.0, 1.1, 1.2) * 3]),))
        for name, p50 in (("a", 2.0), ("b", 4.0))
    ]
    (one,) = compare(groups).versus
    p50 = next(f for f in one.findings if f.metric == "fanout.latency.p50")
    assert p50.within
    assert p50.ratio is not None
    assert p50.ratio.low is not None
    assert p50.ratio.high is not None
    assert 1.7 < p50.ratio.low < p50.ratio.value < p50.ratio.high < 2.3
    assert p50.verdict == "cannot tell"


def test_json_holds_every_run_and_every_figure() -> None:
    groups = [make_group("a", around(2.0)), make_group("b", around(2.5, seed=2))]
    written = json.loads(to_line(compare(groups).as_json()))
    assert written["schema"] == "loadtest.compare/1"
    assert written["groups"][1]["runs"] == [f"run-b-{at}" for at in range(5)]
    (one,) = written["comparisons"]
    assert one["verdict"] == "worse"
    assert set(one["findings"][0]["ratio"]) == {"value", "low", "high"}
