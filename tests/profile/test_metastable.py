"""The profile `metastable`: the model tells of its storm, and of its cures, what a run of a minute shows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from loadtest.cli import app
from loadtest.model.profiled import real_storm
from loadtest.model.simulation import predict
from loadtest.profile import load_profile
from loadtest.profile.shelf import shipped_profiles
from tests.command_lines import parse, shell_commands

FILE = shipped_profiles()["metastable"]
COMMENT = "\n".join(line[1:] for line in FILE.read_text().splitlines() if line.startswith("#    "))
AS_IT_IS, *CURED = [parse(app, words) for words in shell_commands(COMMENT, "loadtest")]


def cycles(settings: list[str]) -> float:
    """Return after how many times T + B half of the dropped third is back, 20 at most."""
    storm = real_storm(load_profile("metastable", settings))
    (drop,) = load_profile("metastable").faults
    third = replace(storm, clients=storm.clients * drop.share)
    cycle_s = third.give_up_s + 18.0
    return (predict(third, 20 * cycle_s, "50").recovered_s["50"] or 20 * cycle_s) / cycle_s


def test_a_third_in_step_stays_out_for_far_more_than_five_cycles() -> None:
    assert cycles(AS_IT_IS["settings"]) > 10


@pytest.mark.parametrize("cured", CURED, ids=["jitter", "retry slots"])
def test_each_of_the_cures_brings_them_back_within_two(cured: dict[str, list[str]]) -> None:
    assert cycles(cured["settings"]) < 2


def test_more_connect_in_ten_seconds_than_knock_in_ten_seconds() -> None:
    """What the gateway can do has to be shown before it is known that it could."""
    profile = load_profile("metastable")
    (drop,) = profile.faults
    cycle_s = (2.0 + 18.0) / profile.time_scale
    shown_per_s = profile.population.connections / max(10.0, profile.ramp_s)
    assert real_storm(profile).number * drop.share < 2 / 3, "there is room for them"
    assert shown_per_s > 1.4 * drop.share * profile.population.connections / cycle_s
    assert 10 % cycle_s == 0, "each ten seconds hold as many waves"
