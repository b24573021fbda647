"""A scaled storm end to end: the stack is as scarce as the profile says, and the model has said how long it lasts."""

from __future__ import annotations

from typing import Any

import pytest

from .topics import COLLECTIONS

pytestmark = pytest.mark.e2e

STORM = (
    """
name = "scaled"
duration = "10s"

[target]
stack = "reference"
version = "sync"

[scale]
clients = 15_000
time = 20
capacity = "300/s"
steady_share = "20%"

[client]
auth = { client = "{client}" }

[population]
connections = 300

[[population.channels]]
name = "collection-{n}"
count = 2
"""
    + COLLECTIONS.format(rate=10, deadline="2s")
    + """
[ramp]
rate = "80/s"

[phases]
warmup = "500ms"

[[faults]]
name = "deploy"
kind = "drop"
after_steady = "500ms"

[recovery]
window = "1s"
"""
)


def test_storm_in_small_lasts_as_long_as_predicted(loadtest_run: Any) -> None:
    run = loadtest_run(STORM)
    assert run.wait(60) in (0, 3), (
        run.said
    )  # a busy machine may call the run invalid; its storm is a storm all the same
    scale, prediction = run.result["scale"], run.result["prediction"]
    (event,) = run.result["events"]
    assert event["dropped"] == 300
    assert scale["storm_number"] == pytest.approx(15_000 / (300 * 25))
    assert scale["small"]["capacity_per_s"] == pytest.approx(120)
    assert scale["events"][0]["t_sub_s"]["99"] == pytest.approx(20 * event["recovery"]["t_sub_s"]["99"])
    # Unlimited, 300 clients are back within their first two waits: 0.2 s here.
    assert event["recovery"]["t_conn_s"]["99"] > 2.0
    assert prediction["measured_to_predicted"]["deploy"]["99"] == pytest.approx(1.0, abs=0.4)
    assert "Real system: 99 % back" in run.said
