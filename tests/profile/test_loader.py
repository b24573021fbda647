from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.errors import ExitCode, ProfileError, UsageError
from loadtest.profile import load_as_run, load_profile, loader, parse_profile, rules
from loadtest.profile.wording import at
from tests.profile.conftest import SMALL, Faults, Parse

EVERYTHING_WRONG = """
duration = "20 parsecs"
thresholds = ["bogus < 1", 5]
rate = "5/s"
[target]
url = "http://localhost"
nodes = 2
[client]
auth = { token = "{tken}" }
hello = "{"
[population]
conections = 5000
herd_size = 0
[[population.channels]]
name = "a"
count = 10
[subscribe]
ack = "yes"
[publish]
rate = 100
via = "pigeon"
payload = "64 bytes"
[ramp]
rate = "0/s"
[[faults]]
kind = "deploy"
at = "4h"
after_steady = "1s"
drian_seconds = 1
[[faults]]
kind = "explode"
[reconnect]
policy = "fixed"
base = "1s"
"""


def test_everything_wrong_is_said_at_once_with_key_found_and_allowed(faults: Faults) -> None:
    found = faults(text=EVERYTHING_WRONG, check_threshold=lambda text: "no such metric" if "bogus" in text else None)
    expected = {
        "duration": ('found "20 parsecs"', '"1m30s"'),
        "rate": ("unknown key", "[publish] or [ramp]"),
        "thresholds.0": ("no such metric",),
        "thresholds.1": ("found 5", "text"),
        "target.url": ('found "http://localhost"', 'did you mean "ws://localhost"', "wss://"),
        "target.nodes": ("found 2", 'stack = "reference"'),
        "client.auth.token": ("{tken}", "{index}"),
        "client.hello": ("websocket",),
        "population.connections": ("required", "missing"),
        "population.conections": ("unknown key", 'did you mean "connections"?', "herd_size"),
        "population.herd_size": ("found 0", "at least 1"),
        "population.channels.0.name": ('"a" for 10 channels', "{n}"),
        "subscribe.ack": ('found "yes"', "true or false"),
        "subscribe.event": ("required",),
        "publish.rate": ("found 100", '"2k/s"'),
        "publish.via": ('found "pigeon"', '"event" or "http"'),
        "publish.payload": ('found "64 bytes"', '"64KiB"'),
        "ramp.rate": ('found "0/s"', "more than 0"),
        "faults.0.drian_seconds": ('did you mean "drain_seconds"?',),
        "faults.0.kind": ("reference", '"command"'),
        "faults.0.at": ("after_steady", "one of them"),
        "faults.1.kind": ('found "explode"', '"deploy"', '"drop"'),
        "reconnect.base": ('"fixed"', "allowed: delay"),
    }
    by_key: dict[str, str] = {}
    for sentence in found:
        key, _, text = sentence.partition(": ")
        by_key[key] = by_key.get(key, "") + text
    assert by_key.keys() == expected.keys()
    for key, parts in expected.items():
        for part in parts:
            assert part in by_key[key], key


def test_profile_error_exits_with_usage(parse: Parse) -> None:
    with pytest.raises(ProfileError, match=r"^test\.toml: 1 error") as caught:
        parse("population.herd_size=0")
    assert caught.value.exit_code is ExitCode.USAGE


def test_correct_profile_has_nothing_wrong(faults: Faults) -> None:
    assert faults() == []


def test_syntax_error_names_the_line(faults: Faults) -> None:
    (fault,) = faults(text='duration = "10s"\n[target\n')
    assert "not TOML" in fault
    assert "line 2" in fault


def test_deep_nesting_is_an_error_of_the_profile(faults: Faults) -> None:
    (fault,) = faults(text="duration = " + "[" * 100_000)
    assert "not TOML" in fault


def test_missing_profile_names_what_there_is() -> None:
    with pytest.raises(UsageError, match=r'did you mean "smoke"\?.*deploy-storm'):
        load_profile("smokee")


def test_unreadable_profile_is_a_usage_error(tmp_path: Path) -> None:
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ProfileError, match="UTF-8"):
        load_profile(path)


def test_name_defaults_to_the_stem_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "my own profile!.toml"
    path.write_text(SMALL)
    assert load_profile(path).name == "my-own-profile"


def test_name_finds_local_profiles_before_shipped_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "smoke.toml").write_text(SMALL)
    monkeypatch.chdir(tmp_path)
    assert load_profile("smoke").population.connections == 100
    assert load_profile("deploy-storm").population.connections == 5000


def test_target_url_replaces_the_stack_and_what_belongs_to_it(tmp_path: Path) -> None:
    text = SMALL.replace(
        'url = "ws://127.0.0.1:1/"', 'stack = "reference"\nversion = "sync"\nnodes = 3\nbootstrap = {}'
    )
    profile = parse_profile(text, "test.toml", tmp_path, target_url="wss://example.org/socket.io/")
    target = profile.target
    assert target.urls == ("wss://example.org/socket.io/",)
    assert (target.stack, target.version, target.nodes, target.bootstrap) == (None, None, 1, None)
    labelled = parse_profile(
        text, "test.toml", tmp_path, overrides=["target.version=v7"], target_url="wss://example.org/socket.io/"
    )
    assert labelled.target.version == "v7"


def test_threshold_checker_is_asked_about_each(faults: Faults) -> None:
    asked: list[str] = []

    def check(text: str) -> str | None:
        asked.append(text)
        return "found x, allowed y" if text == "b" else None

    found = faults('thresholds=["a", "b"]', check_threshold=check)
    assert asked == ["a", "b"]
    assert found == ["thresholds.1: found x, allowed y"]


def test_profile_as_run_loads_to_the_same_profile(parse: Parse, tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("token\nt0\nt1\n")
    profile = parse("client.csv=users.csv", "population.connections=1k", "target.version=x")
    copy = tmp_path / "elsewhere" / "profile.toml"
    copy.parent.mkdir()
    copy.write_text(profile.to_toml())
    again = load_profile(copy)
    assert again.model_copy(update={"client": profile.client}).content() == profile.content()
    assert again.sha256 == profile.sha256
    assert again.variables(1) == profile.variables(1)


def test_profile_as_run_may_hold_a_stack_with_its_urls(tmp_path: Path) -> None:
    text = SMALL.replace('url = "ws://127.0.0.1:1/"', 'stack = "reference"\nversion = "sync"\n[target.bootstrap]')
    profile = parse_profile(text, "test.toml", tmp_path).with_gateways(["ws://127.0.0.1:9/"], "http://127.0.0.1:8/b")
    path = tmp_path / "profile.toml"
    path.write_text(profile.to_toml())
    again = load_as_run(path)
    assert again.target == profile.target
    assert again.target.bootstrap is not None
    assert again.target.bootstrap.url == "http://127.0.0.1:8/b"
    with pytest.raises(ProfileError, match="knows its own URLs"):
        load_profile(path)
    path.write_text("duration = 5")
    with pytest.raises(ProfileError, match="population: required"):
        load_as_run(path)


_JUNK = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-2, 10**12), st.floats(), st.text(max_size=8), st.dates()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
_PLACES = sorted(
    {
        "duration", "name", "seed", "thresholds", "faults", "target", "target.url", "target.tls", "client.auth",
        "client.headers", "client.variables", "client.query", "population", "population.channels",
        "population.channels.0.count", "population.channels.0.name", "population.source_addresses", "subscribe.args",
        "subscribe", "publish.args", "publish.http", "publish.marker", "publish", "ramp", "phases.drain", "reconnect",
    }
)  # fmt: skip


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.dictionaries(st.sampled_from(_PLACES), _JUNK, min_size=1, max_size=4))
def test_junk_in_any_place_is_a_profile_error_and_nothing_else(junk: dict[str, object]) -> None:
    data = tomllib.loads(SMALL)
    for place, value in junk.items():
        *above, last = place.split(".")
        here = at([int(part) if part.isdigit() else part for part in above], data)
        if isinstance(here, dict):
            here[last] = value
    profile, sentences, mended = loader._validate(data)
    assert profile is not None
    assert bool(sentences) == bool(mended)
    assert all(": " in each for each in sentences)
    assert all(": " in each for each in rules.objections(profile, mended, None))
