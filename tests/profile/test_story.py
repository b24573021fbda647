"""The profiles of the story: valid, in order, one system, and each predicted as its cure says."""

from __future__ import annotations

import re

import pytest

from loadtest.model.profiled import real_storm, stack_limits
from loadtest.model.simulation import predict
from loadtest.profile import Profile, load_profile
from loadtest.profile.shelf import shipped_profiles

FOLDER = shipped_profiles()["smoke"].parent / "story"
NAMES = sorted(path.stem for path in FOLDER.glob("*.toml"))


def story(name: str) -> Profile:
    from loadtest.cli import check_threshold

    return load_profile(str(FOLDER / f"{name}.toml"), check_threshold=check_threshold)


def test_script_runs_every_profile_of_the_story_once() -> None:
    script = (FOLDER.parents[1] / "ci" / "story").read_text()
    (listed,) = re.findall(r"names=\(([a-z].*)\)", script)
    assert sorted(set(listed.split()) - {"sweep"}) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_profile_of_the_story_is_about_the_one_real_system(name: str) -> None:
    profile = story(name)
    storm = real_storm(profile)
    assert profile.target.version == name
    assert storm.number == pytest.approx(12.5, rel=0.05 if name in ("sync", "bifrost-1", "bifrost-2") else 1)
    assert (storm.clients, storm.capacity_per_s, storm.steady_share) == (1e6, 3200, 0.3)
    # The ramp stays below what the capacity in small leaves when everybody is connected.
    assert profile.ramp.rate_per_s < 0.7 * stack_limits(profile)["--capacity"]
    # What two cores carry with both ends on them.
    assert profile.population.connections * profile.time_scale / 5 <= 12_000


def test_predictions_tell_the_story() -> None:
    hours = {name: predict(real_storm(story(name)), until="99").recovered_s["99"] for name in NAMES}
    assert 6 * 3600 < (hours["sync"] or 0) < 8 * 3600
    assert hours["bifrost-1"] == hours["sync"]
    for name in ("bifrost-2", "bifrost-3", "bifrost-4", "bifrost-5", "bifrost-6"):
        assert (hours[name] or 1e9) < 15 * 60, name
