"""A channel that speaks once a minute, and a deploy: with a canary it is known when clients are reached again."""

from __future__ import annotations

import pytest

from .test_run_reference import holds_together
from .topics import COLLECTIONS

pytestmark = pytest.mark.e2e

PROFILE = """
name = "canary"
duration = "9s"

[target]
stack = "reference"
version = "bifrost-1"
nodes = 2

[client]
auth = { client = "{client}" }

[population]
connections = 100
herd_size = 50

[[population.channels]]
name = "all"
rate = "1/min"

[ramp]
rate = "400/s"

[phases]
warmup = "500ms"

[[faults]]
kind = "deploy"
after_steady = "500ms"

[reconnect]
policy = "fixed"
delay = "100ms"

[recovery]
window = "2s"
""" + COLLECTIONS.format(rate=0, deadline="2s")


def test_clients_are_back_when_a_canary_has_reached_them(loadtest_run) -> None:
    more = ('recovery.canary="all"', 'recovery.canary_every="2s"')
    run = loadtest_run(PROFILE, "--workers", "2", *(word for each in more for word in ("--set", each)))
    assert run.wait(60) == 0, run.said
    result = run.result
    assert result["reasons"] == []
    holds_together(result)
    (event,) = result["events"]
    recovery, sent_s = event["recovery"], [at_s - event["at_s"] for at_s in event["canaries_at_s"]]
    assert recovery["t_ack_s"]["99.9"] < sent_s[0] < recovery["t_sub_s"]["50"], "nobody spoke before it"
    assert recovery["t_sub_s"]["99.9"] < sent_s[0] + 2
    assert len(sent_s) == 1, "it reached everybody, so none was repeated"
    fanout = result["fanout"]
    assert fanout["published"] == 2, "the one of the schedule, and the canary"
    assert (fanout["expected"], fanout["delivered"], fanout["lost"]) == (200, 200, 0)
    assert "100 wait for a message: canary to all" in (run.folder / "intervals.jsonl").read_text()


def test_without_a_canary_nobody_can_tell(loadtest_run) -> None:
    run = loadtest_run(PROFILE, "--workers", "2", "--set", "duration=6s")
    assert run.wait(60) == 0, run.said
    (event,) = run.result["events"]
    assert event["recovery"]["t_ack_s"]["100"] is not None
    assert set(event["recovery"]["t_sub_s"].values()) == {None}
    assert "canaries_at_s" not in event
    assert run.result["fanout"]["published"] == 1
