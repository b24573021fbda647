"""The start form says nothing that the command line could not, and is checked alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtest.errors import LoadtestError, UsageError
from loadtest.web.form import AS_PROFILE, Form


def form(first: str = "smoke", settings: tuple[str, ...] = (), target: str | None = None) -> Form:
    return Form(first, settings, target, ["sync", "bifrost-1"], lambda _: None)


def fields(**more: str) -> dict[str, str]:
    return {"profile": "", "stack_deploy": AS_PROFILE, "stack_version": AS_PROFILE, "host": ""} | more


def test_the_drop_down_begins_with_the_profile_asked_for_and_describes_each() -> None:
    choices = form("deploy-storm").options()["profile"]["choices"]
    assert choices[0].startswith("deploy-storm \N{EM DASH} 5,000 clients")
    assert any(choice.startswith("smoke \N{EM DASH} ") for choice in choices)
    assert len(choices) == len(set(choices))


def test_fields_start_with_what_the_profile_and_the_command_line_say() -> None:
    first, *others = form(settings=("population.connections=77", "duration=5s")).defaults()
    assert (first["user_count"], first["spawn_rate"], first["run_time"]) == (77, 200, "5s")
    storm = next(each for each in others if each["label"].startswith("deploy-storm"))
    assert (storm["user_count"], storm["spawn_rate"], storm["run_time"]) == (5000, 500, "60s")


def test_fields_become_the_profile() -> None:
    profile = form().read(fields(user_count="300", spawn_rate="150.5", run_time="20", stack_version="sync"))
    assert profile.population.connections == 300
    assert profile.ramp.rate_per_s == 150.5
    assert profile.duration_s == 20
    assert profile.target.version == "sync"
    assert [fault.name for fault in profile.faults] == ["deploy"]


def test_another_profile_does_not_inherit_the_command_line(tmp_path: Path) -> None:
    chosen = form(settings=("population.connections=77",))
    label = next(offer.label for offer in chosen.offers if offer.name == "deploy-storm")
    assert chosen.read(fields(profile=label)).population.connections == 5000


@pytest.mark.parametrize(("deploy", "strategies"), [("none", []), ("rolling, node by node", ["rolling"])])
def test_the_deploy_of_the_profile_can_be_left_out_or_changed(deploy: str, strategies: list[str]) -> None:
    profile = form().read(fields(stack_deploy=deploy))
    assert [fault.strategy for fault in profile.faults if fault.kind == "deploy"] == strategies
    kept = [text for text in profile.thresholds if text.startswith("events.")]
    assert len(kept) == len(strategies)  # a threshold on a deploy that is left out could only fail


def test_a_profile_without_a_deploy_gets_one_early_in_its_duration() -> None:
    chosen = form("steady")
    (fault,) = chosen.read(fields(stack_deploy="all at once", run_time="40s")).faults
    assert (fault.kind, fault.after_steady_s) == ("deploy", 10)


def test_a_target_from_the_form_takes_the_place_of_the_stack() -> None:
    profile = form().read(fields(host="ws://127.0.0.1:9/socket.io/", stack_deploy="none"))
    assert (profile.target.stack, list(profile.target.urls)) == (None, ["ws://127.0.0.1:9/socket.io/"])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"profile": "../../etc/passwd"}, "no such profile"),
        ({"user_count": "many"}, "not a number"),
        ({"user_count": "0"}, "population.connections"),
        ({"run_time": "soon"}, "duration"),
        ({"run_time": '1s"\nname = "x'}, "duration"),
        ({"host": "http://127.0.0.1/"}, "target.url"),
        ({"stack_deploy": "sideways"}, "no such deploy"),
    ],
)
def test_what_is_wrong_is_said(wrong: dict[str, str], words: str) -> None:
    with pytest.raises(LoadtestError, match=words):
        form().read(fields(**wrong))


def test_a_profile_that_cannot_be_read_is_offered_with_its_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "broken.toml").write_text("name = ")
    monkeypatch.chdir(tmp_path)
    broken = next(offer for offer in form().offers if offer.name == "broken")
    assert "cannot be read" in broken.label
    with pytest.raises(UsageError):
        form("no-such-profile")


def test_two_versions_run_in_turn(tmp_path: Path) -> None:
    series = form().series(fields(versus="sync", runs="2", user_count="150"))
    assert [profile.target.version for profile in series] == ["bifrost-1", "sync", "sync", "bifrost-1"]
    assert {profile.population.connections for profile in series} == {150}
    assert len(form().series(fields(runs="5"))) == 5
    assert len(form().series(fields())) == 1


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"runs": "1000000"}, "runs: 1, 2, 5"),
        ({"versus": "sync", "stack_version": "sync"}, "choose another"),
        ({"versus": "sync", "host": "ws://127.0.0.1:9/", "stack_deploy": "none"}, "not a URL"),
        ({"versus": "no-such"}, "versus: sync, bifrost-1"),
    ],
)
def test_what_cannot_be_run_in_turn_is_said(wrong: dict[str, str], words: str) -> None:
    with pytest.raises(LoadtestError, match=words):
        form().series(fields(**wrong))
