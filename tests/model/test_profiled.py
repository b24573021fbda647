"""A profile with `[scale]`: its storm, the limits of the stack, and what run.json says of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtest.errors import UsageError
from loadtest.model.profiled import real_storm, scaled_figures, stack_limits
from loadtest.model.scaling import shrink
from loadtest.profile import Profile, parse_profile
from tests.model.test_scaling import EVENT

TEXT = """
duration = "10s"
[target]
stack = "reference"
version = "sync"
[population]
connections = 2000
"""
SCALE = """
[scale]
clients = 1_000_000
time = 60
capacity = "6000/s"
steady_share = "30%"
ping_cost = 0.01
[scale.cure]
in_flight = 64_000
retry_after = "10m"
"""


def profile(text: str = TEXT + SCALE) -> Profile:
    return parse_profile(text, "storm.toml", Path())


def test_storm_is_the_real_systems() -> None:
    storm = real_storm(profile())
    assert storm.number == pytest.approx(1e6 / (6000 * 25))
    assert (storm.steady_share, storm.cure.in_flight, storm.cure.retry_after_s) == (0.3, 64_000, 600)


def test_stack_is_as_scarce_as_the_small_storm_says() -> None:
    limits, small = stack_limits(profile()), shrink(real_storm(profile()), 2000, 60.0)
    assert limits["--capacity"] == pytest.approx(small.capacity_per_s)
    assert limits["--handshake-stages"] == 4
    # Everybody connected: steady traffic and heartbeats take what they take of the real system.
    held = limits["--held-cost"] * 2000 / limits["--capacity"]
    assert held == pytest.approx(0.3 + 0.01 * 1e6 / 25 / 6000)


def test_run_json_holds_both_systems_and_the_prediction() -> None:
    found = scaled_figures(profile(), [EVENT])
    assert found["scale"]["time"] == 60
    assert found["prediction"]["measured_to_predicted"]["deploy"]["99"] == pytest.approx(
        48.0 * 60 / found["prediction"]["t_sub_s"]["99"]
    )


def test_fault_that_dropped_nobody_is_no_storm() -> None:
    found = scaled_figures(profile(), [{**EVENT, "dropped": 2000}, {**EVENT, "name": "broker", "dropped": 0}])
    assert [event["name"] for event in found["scale"]["events"]] == ["deploy"]
    assert list(found["prediction"]["measured_to_predicted"]) == ["deploy"]


def test_profile_without_scale_has_no_storm_to_predict() -> None:
    plain = profile(TEXT)
    assert scaled_figures(plain, [EVENT]) == {}
    assert stack_limits(plain) == {}
    with pytest.raises(UsageError, match=r"no \[scale\]"):
        real_storm(plain)
