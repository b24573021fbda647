"""Thresholds while the run goes on: `abort` ends it early, `during` looks at one phase."""

from __future__ import annotations

import json

import pytest

from tests.truth.scenario import Scenario, loadtest_run, run, running_target

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("no_leftovers")]


def test_abort_ends_a_run_early_as_failed(tmp_path) -> None:
    expr = "delivery.lost == 0 abort"
    scenario = Scenario({"drop_every": 100}, duration_s=60, deadline_s=0.5, thresholds=(expr,))
    with running_target(scenario.script, tmp_path / "target") as (_, port):
        code, said, folder = loadtest_run(scenario.profile(f"ws://127.0.0.1:{port}"), tmp_path, timeout_s=40)
    result = json.loads((folder / "run.json").read_text())
    assert (code, result["verdict"]) == (1, "fail"), said
    assert result["reasons"][0].startswith("Ended at ")
    assert expr in result["reasons"][0]
    assert result["thresholds"][0]["verdict"] == "FAIL"
    assert result["fanout"]["imbalance"] == 0
    assert expr in said


def test_during_judges_one_phase_alone(tmp_path) -> None:
    during = [f"fanout.latency.p99 < 10s during {phase}" for phase in ("hold", "ramp")]
    outcome = run(Scenario({}, duration_s=4, deadline_s=1, thresholds=tuple(during)), tmp_path)
    hold, ramp = outcome.result["thresholds"]
    assert (hold["verdict"], ramp["verdict"], ramp["value"]) == ("PASS", "NO_DATA", None)
    figures = outcome.result["phases"]["hold"]["fanout"]
    assert 0 < figures["expected"] <= outcome.fanout["expected"]
    assert figures["latency_ms"]["p99"] == hold["value"]
    assert outcome.result["phases"]["ramp"]["connections"]["attempts"] == 300
    assert f"{during[1]}: no data." in outcome.result["reasons"]
    assert outcome.code != 0
