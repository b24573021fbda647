"""One gateway node of ten is killed or frozen: a tenth of the clients is disconnected or degraded, the others stay."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.e2e

SMALL = {
    "population.connections": "250",
    "population.herd_size": "25",
    "publish.rate": "66/s",  # two a second and collection
    "publish.deadline": "1s",
    "ramp.rate": "500/s",
    "phases.warmup": "1s",
    "duration": "8s",
    "faults.0.after_steady": "3500ms",
    "recovery.window": "4s",
    "thresholds.2": "events.node.others_p99_ratio < 100",  # a busy machine is slow, and so are all of its nodes
}


def started(loadtest_run, **more: str):
    changes = SMALL | {f"faults.0.{key}": value for key, value in more.items()}
    words = [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]
    return loadtest_run("one-of-ten", "--workers", "2", *words)


def test_a_tenth_is_disconnected_and_nobody_else(loadtest_run) -> None:
    run = started(loadtest_run)
    assert run.wait(60) == 0, run.said
    result = run.result
    assert {entry["verdict"] for entry in result["thresholds"]} == {"PASS"}
    (event,) = result["events"]
    recovery, others = event["recovery"], event["recovery"]["others"]
    assert (event["name"], event["population"], event["dropped"]) == ("node", 250, 25)
    assert recovery["blast_radius"] == 0.1
    assert recovery["secondary_drops"] == 0
    assert result["connections"]["at_end"] == 250
    assert result["connections"]["drops"].keys() <= {"eof", "reset"}
    assert sum(result["connections"]["drops"].values()) == 25

    sampled = others["clients"]
    assert 100 <= sampled <= 128, "of 125 clients each of two workers follows 64, nine of ten were not disconnected"
    assert others["judged"] == sampled
    assert 0 <= recovery["degraded"] <= 0.9
    assert others["missing_before"] == others["missing_after"] == 0
    due = sampled * 2 * 4
    assert others["after_ms"]["count"] == pytest.approx(due, rel=0.1)
    assert 0.7 * due < others["before_ms"]["count"] <= 1.1 * due
    ratio = others["after_ms"]["p99"] / others["before_ms"]["p99"]
    assert recovery["others_p99_ratio"] == pytest.approx(ratio, rel=0.01)
    assert "Blast radius of node" in run.said


def test_a_tenth_is_degraded_and_nobody_disconnected(loadtest_run) -> None:
    """What the frozen node's clients miss counts as later than everything: more than one message of 100."""
    run = started(loadtest_run, kind="freeze", duration="2s")
    assert run.wait(60) == 1, run.said
    (event,) = run.result["events"]
    recovery, others = event["recovery"], event["recovery"]["others"]
    assert (event["population"], event["dropped"], recovery["blast_radius"]) == (250, 0, 0)
    assert 120 <= others["clients"] <= 136
    assert 0.05 <= recovery["degraded"] <= 0.5, "a tenth; a busy machine may add to it"
    assert others["missing_before"] < 0.01 * others["before_ms"]["count"] < others["missing_after"]
    assert recovery["others_p99_ratio"] is None
    judged = {entry["expr"].split()[0]: entry["verdict"] for entry in run.result["thresholds"]}
    assert judged["events.node.others_p99_ratio"] == "FAIL"
