from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
from pydantic import ValidationError

from loadtest.pacing.reconnect import POLICIES, policy
from loadtest.profile import DeployFault, DropFault, Profile, load_profile, shipped_profiles
from loadtest.profile.timeline import POLICY_KEYS
from tests.profile.conftest import Parse


def test_units_are_converted_once_at_the_edge(parse: Parse) -> None:
    profile = parse(
        "duration=1m30s",
        "publish.rate=2k/s",
        "population.connections=5k",
        "recovery.tolerance=25%",
        "publish.deadline=250ms",
    )
    assert profile.duration_s == 90.0
    assert profile.publish.rate_per_s == 2000.0
    assert profile.population.connections == 5000
    assert profile.recovery.tolerance == 0.25
    assert profile.publish.deadline_s == 0.25
    assert profile.drain_s == 1.25
    assert profile.ramp_s == 5.0
    assert profile.herds == 20


@pytest.mark.parametrize(("connections", "herd_size", "herds"), [(100, 30, 4), (90, 30, 3), (1, 250, 1)])
def test_herds_hold_everybody(parse: Parse, connections: int, herd_size: int, herds: int) -> None:
    assert parse(f"population.connections={connections}", f"population.herd_size={herd_size}").herds == herds


def test_profile_cannot_be_changed(parse: Parse) -> None:
    with pytest.raises(ValidationError):
        parse().duration_s = 5.0


def test_fault_is_named_after_its_kind_and_happens_when_steady(parse: Parse) -> None:
    profile = parse("faults=[{ kind = 'drop' }, { kind = 'drop', name = 'second', at = '3s', share = '50%' }]")
    first, second = profile.faults
    assert isinstance(first, DropFault)
    assert isinstance(second, DropFault)
    assert (first.name, first.at_s, first.after_steady_s, first.share) == ("drop", None, 0.0, 1.0)
    assert (second.name, second.at_s, second.after_steady_s, second.share) == ("second", 3.0, None, 0.5)


def test_variables_come_from_the_index_the_table_and_templates(parse: Parse, tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("user\nada\nbob\n")
    profile = parse("client.csv=users.csv", "client.variables={ token = 'tok-{user}-{index}-{run}' }")
    assert profile.variables(3, run="0badcafe") == {
        "index": "3",
        "client": "c3",
        "run": "0badcafe",
        "user": "bob",
        "token": "tok-bob-3-0badcafe",
    }


def test_channels_follow_the_population(parse: Parse) -> None:
    profile = parse()
    assert profile.channel_names[:2] == ("room-0", "room-1")
    assert profile.channels_of(13) == [3]
    assert profile.channels.members(3) == range(3, 100, 10)


def test_gateways_are_filled_in_without_changing_the_original(parse: Parse) -> None:
    profile = parse()
    aimed = profile.with_gateways(["ws://a", "ws://b"])
    assert aimed.target.urls == ("ws://a", "ws://b")
    assert profile.target.urls == ("ws://127.0.0.1:1/",)
    assert aimed.channel_names == profile.channel_names
    assert aimed.sha256 != profile.sha256


def test_placing_a_profile_keeps_nothing_read_in_the_old_folder(parse: Parse, tmp_path: Path) -> None:
    for folder, user in (("a", "ada"), ("b", "bob")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "users.csv").write_text(f"user\n{user}\n")
    profile = parse("client.csv=a/users.csv")
    assert profile.variables(0)["user"] == "ada"
    moved = profile.model_copy(update={"client": profile.client.model_copy(update={"csv": "users.csv"})})
    assert moved.placed_in(tmp_path / "b").variables(0)["user"] == "bob"


def test_same_content_has_the_same_hash_and_other_content_another(parse: Parse) -> None:
    profile = parse()
    assert profile.sha256 == parse('duration="10000ms"').sha256 == parse(text=profile.to_toml()).sha256
    assert profile.sha256 != parse("seed=2").sha256
    assert len(profile.sha256) == 64


def test_urls_of_a_started_stack_do_not_change_the_hash() -> None:
    smoke = load_profile("smoke")
    assert smoke.with_gateways(["ws://127.0.0.1:4711/"]).sha256 == smoke.sha256 == load_profile("smoke").sha256


def test_every_key_is_described() -> None:
    schema = Profile.json_schema()
    tables = [schema, *schema["$defs"].values()]
    undescribed = [
        f"{table['title']}.{key}"
        for table in tables
        for key, value in table.get("properties", {}).items()
        if not (value.get("description") or schema["$defs"][value["$ref"].rpartition("/")[2]].get("description"))
    ]
    assert undescribed == []


def test_json_schema_accepts_what_the_loader_accepts() -> None:
    import tomllib

    schema = Profile.json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for path in shipped_profiles().values():
        assert [error.message for error in validator.iter_errors(tomllib.loads(path.read_text()))] == []
    for wrong in ({"duration": "5"}, {"population": {"connections": -1}}, {"faults": [{"kind": "explode"}]}, {"x": 1}):
        smoke = tomllib.loads(shipped_profiles()["smoke"].read_text())
        assert not validator.is_valid({**smoke, **wrong}), wrong


def test_policies_and_their_keys_are_those_of_pacing() -> None:
    from dataclasses import fields

    assert {name: {f"{key}" for key in keys} for name, keys in POLICY_KEYS.items()} == {
        name: {field.name.removesuffix("_s") for field in fields(kind)} for name, kind in POLICIES.items()
    }


def test_reconnect_parameters_fit_the_policy(parse: Parse) -> None:
    profile = parse("reconnect.policy=python-socketio", "reconnect.base=2s", "reconnect.spread=100ms")
    assert profile.reconnect.parameters == {"base_s": 2.0, "spread_s": 0.1}
    assert policy(profile.reconnect.policy, **profile.reconnect.parameters) is not None


def test_smoke_is_small_and_deploys_once() -> None:
    smoke = load_profile("smoke")
    assert smoke.population.connections == 200
    assert [type(fault) for fault in smoke.faults] == [DeployFault]
    assert smoke.ramp_s + smoke.phases.warmup_s + smoke.duration_s + smoke.drain_s <= 17


def test_deploy_storm_is_the_storm_of_the_story() -> None:
    storm = load_profile("deploy-storm")
    assert storm.population.connections == 5000
    assert len(storm.channel_names) == 50
    assert len(storm.channels.members(0)) == 100
    assert storm.publish.rate_per_s == 100
    assert storm.ramp_s + storm.phases.warmup_s + storm.duration_s + storm.drain_s < 120
    assert load_profile("deploy-storm", ["population.connections=300"]).population.connections == 300


@pytest.mark.parametrize("name", ["any-socketio", "any-websocket"])
def test_profiles_for_other_servers_need_nothing_of_ours(name: str) -> None:
    profile = load_profile(name, target_url="wss://example.org/x")
    assert profile.target.stack is None
    assert [type(fault) for fault in profile.faults] == [DropFault]


def test_every_shipped_profile_states_its_purpose_on_top() -> None:
    assert sorted(shipped_profiles()) == [
        "any-socketio",
        "any-websocket",
        "autoscale-cpu",
        "autoscale-memory",
        "deploy-storm",
        "hostile-clients",
        "hundred-thousand",
        "metastable",
        "million",
        "one-of-ten",
        "rollout",
        "rough-network",
        "smoke",
        "steady",
        "ten-thousand",
    ]
    for name, path in shipped_profiles().items():
        assert path.read_text().startswith(f"# {name}: "), name
        assert load_profile(name).name == name
