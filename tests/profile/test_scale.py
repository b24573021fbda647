"""`[scale]`: the real system's figures, and what the run is given instead."""

from __future__ import annotations

import pytest

from tests.profile.conftest import Faults, Parse

SCALE = "scale={ clients = 1_000_000, time = 60, capacity = '3200/s', steady_share = '30%', ping_cost = 0.01 }"


def test_run_gets_the_real_systems_patience_in_its_own_time(parse: Parse) -> None:
    profile = parse(SCALE)
    assert profile.connect_timeout_s == pytest.approx(20 / 60)
    assert profile.time_scale == 60
    assert profile.scale is not None
    assert profile.scale.held_cost_per_s() == pytest.approx(0.3 * 3200 / 1e6 + 0.01 / 25)


def test_profile_without_scale_speaks_for_itself(parse: Parse) -> None:
    profile = parse("ramp.connect_timeout=7s")
    assert profile.connect_timeout_s == 7.0
    assert profile.time_scale == 1.0
    assert "scale" not in profile.to_toml()


def test_scaled_profile_loads_again_to_the_same(parse: Parse) -> None:
    profile = parse(SCALE)
    again = parse(text=profile.to_toml())
    assert again.scale == profile.scale
    assert again.sha256 == profile.sha256
    assert again.connect_timeout_s == profile.connect_timeout_s


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ("ramp.connect_timeout=3s", "ramp.connect_timeout"),
        ("reconnect.policy=none", "reconnect.policy"),
        ("target.admit=5/s", "target.admit"),
    ],
)
def test_what_scale_computes_is_not_given_beside_it(faults: Faults, more: str, key: str) -> None:
    (fault,) = faults(SCALE, more)
    assert fault.startswith(f"{key}: ")
