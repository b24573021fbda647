from __future__ import annotations

from pathlib import Path

import pytest

from tests.profile.conftest import SMALL, Faults

WEBSOCKET = """
duration = "10s"
[target]
url = "ws://127.0.0.1:1/"
dialect = "websocket"
[population]
connections = 100
[[population.channels]]
name = "room-{n}"
count = 10
[subscribe]
message = { join = "{channel}" }
ack_path = "joined"
[publish]
rate = "10/s"
message = { text = "{marker}" }
"""

# (override, key of the fault, part of what is said); each breaks exactly one thing of SMALL
BROKEN = [
    ("target={}", "target.url", "--target URL"),
    ("scale={ clients = 5, capacity = '1/s' }", "scale.clients", "at least population.connections"),
    ("scale={ clients = 5000, capacity = '0/s' }", "scale.capacity", "more than"),
    ("scale={ clients = 5000, capacity = '1/s', time = 0.5 }", "scale.time", "at least 1"),
    ("scale={ clients = 5000, capacity = '1/s', steady_share = '100%' }", "scale.steady_share", "less than"),
    ("scale={ clients = 5000, capacity = '1/s', cure = { resumed_cost = 0 } }", "scale.cure.resumed_cost", "more than"),
    ("target.url=ftp://h/", "target.url", "ws:// or wss://"),
    ("target.url=ws://", "target.url", "no host"),
    ("target.url=ws://h:99999/", "target.url", "no URL"),
    ("target.url=ws://h/a b", "target.url", "no host"),
    ("target.url=ws://h/#x", "target.url", "never reaches"),
    ("target.url=['ws://h', 'http://h']", "target.url.1", 'did you mean "ws://h"'),
    ("target={ stack = 'reference', version = 'x', url = 'ws://h' }", "target.url", "knows its own URLs"),
    ("target.nodes=2", "target.nodes", "leave it out"),
    ("target.nodes=0", "target.nodes", "at least 1"),
    ("target.dialect=mqtt", "target.dialect", '"socketio" or "websocket"'),
    ("target.tls={}", "target.tls", "only with a wss://"),
    ("target.bootstrap={}", "target.bootstrap.url", "required"),
    ("target.bootstrap={ url = 'ws://h' }", "target.bootstrap.url", 'did you mean "http://h"'),
    ("target.bootstrap={ url = 'http://h/{channel}' }", "target.bootstrap.url", "{channel}, which has no value here"),
    ("target.bootstrap={ url = 'http://h', path = 'a..b' }", "target.bootstrap.path", "single dots"),
    ("client.hello=x", "client.hello", "websocket"),
    ("client.namespace=admin", "client.namespace", "^/"),
    ("client.auth=5", "client.auth", "a table of keys"),
    ("client.auth={ a = nan }", "client.auth.a", "finite number"),
    ("client.auth={ a = '{clientt}' }", "client.auth.a", "did you mean {client}?"),
    ("client.auth={ a = ['x', '{'] }", "client.auth.a.1", "{{ and }}"),
    ("client.auth={ a = 'no {index:int}' }", "client.auth.a", "whole of a string"),
    ("client.headers={ 'a b' = 'c' }", "client.headers.a b", "letters"),
    ("client.headers={ Upgrade = 'c' }", "client.headers.Upgrade", "leave it out"),
    ('client.headers={ A = "b\\r\\nC: d" }', "client.headers.A", "single line"),
    ("client.headers={ A = '{index:int}' }", "client.headers.A", "whole of a string inside a message"),
    ("client.csv=absent.csv", "client.csv", "No such file"),
    ("client.variables={ index = 'x' }", "client.variables.index", "built-in"),
    ("client.variables={ 'a b' = 'x' }", "client.variables.a b", "letters"),
    ("client.variables={ a = '{channel}' }", "client.variables.a", "{channel}"),
    ("client.variables={ a = 'x', b = '{a}' }", "client.variables.b", "{a}, which has no value"),
    ("population.connections=0", "population.connections", "at least 1"),
    ("population.connections=10000001", "population.connections", "at most 10,000,000"),
    ("population.source_addresses=['127.0.0.1', 'nowhere']", "population.source_addresses.1", '"127.0.1.0/28"'),
    ("population.source_addresses=['127.0.0.9-127.0.0.1']", "population.source_addresses.0", "a range"),
    ("population.source_addresses=['127.0.0.1-::1']", "population.source_addresses.0", "a range"),
    ("population.channels.0.clients_per_channel=11", "population.channels.0.clients_per_channel", "at most 10 with"),
    ("population.channels.0.name=same", "population.channels.0.name", "same-{n}"),
    ("population.channels.0.name=a-{index}-{n}", "population.channels.0.name", "{n}"),
    ("population.channels.0.name={n", "population.channels.0.name", "{n}"),
    ("population.channels.1={ name = 'room-3' }", "population.channels", "the same names"),
    ("population.channels.0.count=2M", "population.channels.0.count", "at most 1,000,000"),
    ("subscribe={}", "subscribe.event", "required"),
    ("subscribe.message=x", "subscribe.message", "event and args"),
    ("subscribe.ack_path=a..b", "subscribe.ack_path", "single dots"),
    ("subscribe.args=['{marker}']", "subscribe.args.0", "{marker}, which has no value here"),
    ("subscribe.ack_equals=inf", "subscribe.ack_equals", "finite number"),
    ("publish.message=x", "publish.message", "event and args"),
    ("publish.args=[]", "publish.args", "has no {marker}"),
    ("publish.args=['{marker}', 2020-01-01]", "publish.args.1", "date or time"),
    ("publish.payload=1KiB", "publish.payload", "no {padding}"),
    ("publish.payload=17MiB", "publish.payload", "at most 16MiB"),
    ("publish.marker=.1", "publish.marker", "single dots"),
    ("publish.rate=-1/s", "publish.rate", '"2k/s"'),
    ("publish.burst_every=2s", "publish.burst_every", '"burst"'),
    ("publish.http={ url = 'http://h' }", "publish.http", 'via = "http"'),
    ("phases.drain=1s", "phases.drain", 'at least publish.deadline, "5s"'),
    ("ramp.rate=1/s", "ramp.timeout", '100 connections at 1/s take "1m40s"'),
    ("ramp.rate=0", "ramp.rate", "more than 0"),
    ("ramp.timeout=0s", "ramp.timeout", "more than 0s"),
    ("duration=0s", "duration", "more than 0s"),
    ("duration=2000d", "duration", "at most 8760h"),
    ("recovery.canary=rooom-{n}", "recovery.canary", 'did you mean "room-{n}"? allowed: "room-{n}"'),
    ("recovery.canary=room-3", "recovery.canary", 'allowed: "room-{n}"'),
    ("recovery.canary=''", "recovery.canary", "not empty"),
    ("recovery.canary=5", "recovery.canary", "found 5"),
    ("recovery.canary_at=99%", "recovery.canary_at", "allowed only with recovery.canary"),
    ("recovery.canary_every=15s", "recovery.canary_every", "allowed only with recovery.canary"),
    ("recovery={ canary = 'room-{n}', canary_at = '0%' }", "recovery.canary_at", "more than 0%"),
    ("recovery={ canary = 'room-{n}', canary_at = 99.9 }", "recovery.canary_at", "a share from 0% to 100%"),
    ("recovery={ canary = 'room-{n}', canary_every = '500ms' }", "recovery.canary_every", "at least 1s"),
    ("recovery={ canary = 'room-{n}', canary_every = '61m' }", "recovery.canary_every", "at most 1h"),
    ("reconnect.delay=1s", "reconnect.delay", "allowed: base, cap, jitter"),
    ("reconnect.jitter=1.5", "reconnect.jitter", "at most 1"),
    ("reconnect={ base = '2s', cap = '1s' }", "reconnect.cap", 'at least base, "2s"'),
    ("reconnect.policy=polite", "reconnect.policy", '"full-jitter"'),
    ("faults=[{ kind = 'deploy' }]", "faults.0.kind", 'stack = "reference"'),
    ("faults=[{ kind = 'rollout', percent = 50 }]", "faults.0.kind", 'two versions, such as "sync+bifrost-1"'),
    ("faults=[{ kind = 'drop', after_steady = '10s' }]", "faults.0.after_steady", 'less than duration, "10s"'),
    ("faults=[{ kind = 'drop', at = '12.1s' }]", "faults.0.at", 'less than "12.1s"'),
    ("faults=[{ kind = 'drop', at = '1s', after_steady = '1s' }]", "faults.0.at", "one of them"),
    ("faults=[{ kind = 'drop', share = '5%', number = 3 }]", "faults.0.share", "one of them"),
    ("faults=[{ kind = 'blackhole', duration = '9.5s', after_steady = '1s' }]", "faults.0.duration", 'at most "9s"'),
    ("faults=[{ kind = 'blackhole', duration = '9.5s', at = '4s' }]", "faults.0.duration", 'at most "8.1s"'),
    ("faults=[{ kind = 'mute', name = 'a' }, { kind = 'mute', name = 'b', after_steady = '9s' }]", "faults.1.kind", '"a" is in place, and both hold mute'),  # noqa: E501
    ("faults=[{ kind = 'mute', name = 'a', duration = '3s' }, { kind = 'mute', name = 'b', after_steady = '2s' }]", "faults.1.kind", "give one a duration"),  # noqa: E501
    ("faults=[{ kind = 'network-cut' }]", "faults.0.kind", "needs a [relay]"),
    ("faults=[{ kind = 'mute', number = 20000 }]", "faults.0.number", "10,000"),
    ("faults=[{ kind = 'drop', share = '0%' }]", "faults.0.share", "more than 0%"),
    ("faults=[{ kind = 'drop', strategy = 'rolling' }]", "faults.0.strategy", "after_steady, share, number, kind, how"),
    ("faults=[{ kind = 'drop', drop = { drop = 1 } }]", "faults.0.drop", "unknown key"),
    ("faults=[{ kind = 'drop', name = 'A b' }]", "faults.0.name", "text that matches"),
    ("faults=[{ kind = 'command' }]", "faults.0.command", "systemctl"),
    ("faults=[{ kind = 'http', http = { url = 'ws://h' } }]", "faults.0.http.url", 'did you mean "http://h"'),
    ("faults=[{ kind = 'http', http = { url = 'http://h', metod = 'PUT' } }]", "faults.0.http.metod", '"method"'),
    ('faults=[{ kind = "http", http = { url = "http://h", headers = { A = "\\n" } } }]', "faults.0.http.headers.A", "line"),  # noqa: E501
    ("faults=[{ name = 'x' }]", "faults.0.kind", '"deploy", "command", "http", "drop", "blackhole"'),
    ("thresholds=['events.drop.t_sub.99 < 1s']", "thresholds.0", 'the event "drop"'),
    ("seed=-1", "seed", "at least 0"),
    ("name=a/b", "name", "text that matches"),
]  # fmt: skip


@pytest.mark.parametrize(("override", "key", "said"), BROKEN, ids=[override for override, *_ in BROKEN])
def test_one_broken_thing_is_one_fault_on_its_key(faults: Faults, override: str, key: str, said: str) -> None:
    found = faults(override)
    assert len(found) == 1, found
    assert found[0].startswith(f"{key}: ")
    assert said in found[0]


def test_ways_to_the_broker_cannot_be_cut_where_nodes_come_and_go(faults: Faults) -> None:
    target = "target={ stack = 'reference', version = 'bifrost-6', bootstrap = {}, autoscale = { most = 2 } }"
    (found,) = faults(target, "faults=[{ kind = 'partition', part = 'broker' }]")
    assert found.startswith('faults.0.kind: found "partition", whose ways to the broker are laid at the start')
    assert faults(target, "faults=[{ kind = 'kill', part = 'broker' }]") == []


FINE = [
    ("target.url=['ws://a', 'wss://b:2/c?d=e']",),
    ("target={ bootstrap = { url = 'https://h/{client}' } }",),
    ("target={ stack = 'reference', version = 'sync', bootstrap = {} }",),
    ("target={ stack = 'reference', version = 'sync', nodes = 3 }", "faults=[{ kind = 'deploy', drain_seconds = 2 }]"),
    ("target={ url = 'wss://h', tls = { insecure = true, server_name = 'x' } }",),
    ("client.auth={ a = '{index:int}', b = '{{x}}', c = '{v}' }", "client.variables={ v = 'tok-{client}-{run}' }"),
    ("population.source_addresses=['127.0.0.1', '127.0.1.1-127.0.1.9', '10.0.0.0/28', '::1']",),
    ("population.channels.0.clients_per_channel=10",),
    ("population.channels.1={ name = 'all' }",),
    ("population.connections=5",),
    ("population.herd_size=500",),
    ("publish.rate=0", "publish.args=[]"),
    ("publish={ rate = '1/s', via = 'http', http = { url = 'http://h/{channel}', body = { m = '{marker}' } } }",),
    ("publish.arrival=burst", "publish.burst_every=5s", "publish.args=['{marker}{padding}']", "publish.payload=1KiB"),
    ("subscribe.ack=false", "subscribe.settle=2s"),
    ("subscribe.ack_path=0.ok", "subscribe.ack_equals=true"),
    ("faults=[{ kind = 'drop', at = '12s' }, { kind = 'command', command = 'echo {$HOME}', after_steady = '9s' }]",),
    (
        "target={ stack = 'reference', version = 'sync+bifrost-1', bootstrap = {} }",
        "faults=[{ kind = 'rollout', percent = 50 }]",
    ),
    (
        "faults=[{ kind = 'mute', name = 'a', duration = '3s' }, { kind = 'mute', name = 'b', after_steady = '3s' },"
        " { kind = 'slow-reader', bytes_per_s = '1KiB' }, { kind = 'blackhole', at = '1s', duration = '11.1s' }]",
    ),
    ("faults=[{ kind = 'drop', name = 'pull' }]", "thresholds=['events.pull.t_sub.99 < 1s']"),
    ("reconnect={ policy = 'fixed', delay = '3s' }",),
    ("recovery={ canary = 'room-{n}', canary_at = '99.95%', canary_every = '15s' }",),
    ("recovery.canary=room-{n}", "publish.rate=0"),
    ("recovery.canary=all", "population.channels.1={ name = 'all', rate = '0' }"),
    ("phases={ warmup = 0, drain = '5s' }",),
]


@pytest.mark.parametrize("overrides", FINE, ids=[each[0] for each in FINE])
def test_what_fits_is_accepted_and_survives_being_written(faults: Faults, parse, overrides: tuple[str, ...]) -> None:  # type: ignore[no-untyped-def]
    assert faults(*overrides) == []
    profile = parse(*overrides)
    assert parse(text=profile.to_toml()) == profile


def test_profile_without_channels_needs_neither_subscribe_nor_publish(faults: Faults) -> None:
    text = SMALL[: SMALL.index("[[population")]
    assert faults(text=text) == []
    found = faults(
        text=SMALL.replace("[[population.channels]]\nname", "[client.variables]\nname").replace("count = 10", "")
    )
    assert [fault.partition(":")[0] for fault in found if "required" in fault] == ["population.channels"] * 2


@pytest.mark.parametrize(
    ("override", "key", "said"),
    [
        ("client.auth={}", "client.auth", "socketio"),
        ("client.namespace=/x", "client.namespace", "socketio"),
        ("subscribe.event=x", "subscribe.event", "allowed instead: message"),
        ("subscribe.ack_path=''", "subscribe.ack_path", "required with ack = true"),
        ("publish.args=[1]", "publish.args", "allowed instead: message"),
        ("publish.ack=true", "publish.ack", "socketio"),
        ("publish={ rate = '1/s' }", "publish.message", "required"),
        ("publish.message=hi", "publish.message", "has no {marker}"),
        ("target={ stack = 'reference', version = 'x', dialect = 'websocket' }", "target.dialect", '"socketio"'),
    ],
)
def test_websocket_dialect_has_keys_of_its_own(faults: Faults, override: str, key: str, said: str) -> None:
    assert faults(text=WEBSOCKET) == []
    assert faults("client.hello={ type = 'hi', id = '{index:int}' }", text=WEBSOCKET) == []
    (fault,) = faults(override, text=WEBSOCKET)
    assert fault.startswith(f"{key}: ")
    assert said in fault


def test_canary_reaches_every_client(faults: Faults) -> None:
    few = "population.channels.1={ name = 'some', clients_per_channel = 5 }"
    assert faults("recovery.canary=room-{n}", few) == []
    (found,) = faults("recovery.canary=some", few)
    assert found == (
        'recovery.canary: found "some", which reaches 5 of 100 clients: the others would never count as recovered;'
        ' allowed: "room-{n}"'
    )


def test_canary_alone_is_published_and_needs_all_that_publishing_needs(faults: Faults) -> None:
    (found,) = faults("recovery.canary=room-{n}", "publish.rate=0", "publish.args=[]")
    assert found.startswith("publish.args: has no {marker}")
    text = SMALL[: SMALL.index("[publish]")] + "[recovery]\ncanary = 'room-{n}'"
    (found,) = faults(text=text)
    assert found.startswith("publish.event: required with recovery.canary and via")
    text = SMALL[: SMALL.index("[[population")] + SMALL[SMALL.index("[publish]") :].replace('rate = "10/s"', "")
    text += "[recovery]\ncanary = 'all'"
    (found,) = faults(text=text)
    assert found == 'recovery.canary: found "all", allowed: a group of population.channels, and there is none'


def test_via_http_excludes_the_keys_of_events(faults: Faults) -> None:
    found = faults("publish.via=http")
    assert [fault.partition(":")[0] for fault in found] == ["publish.event", "publish.args", "publish.http"]


def test_reference_stack_needs_a_version(faults: Faults) -> None:
    (fault,) = faults("target={ stack = 'reference' }")
    assert fault.startswith('target.version: required with stack = "reference"')


def test_tls_files_exist_and_go_together(faults: Faults, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("x")
    found = faults("target={ url = 'wss://h', tls = { key = 'key.pem', ca = 'absent.pem', insecure = true } }")
    assert [fault.partition(":")[0] for fault in found] == ["target.tls.cert", "target.tls.insecure", "target.tls.ca"]


def test_names_of_faults_are_unique(faults: Faults) -> None:
    found = faults("faults=[{ kind = 'drop' }, { kind = 'drop' }]")
    assert [fault.partition(":")[0] for fault in found] == ["faults.0.name", "faults.1.name"]


def test_columns_and_variables_do_not_collide(faults: Faults, tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("token\nx\n")
    assert faults("client.csv=users.csv", "client.auth={ t = '{token}' }") == []
    (fault,) = faults("client.csv=users.csv", "client.variables={ token = 'x' }")
    assert "is a column" in fault


def test_rule_on_a_key_that_is_wrong_itself_stays_silent(faults: Faults) -> None:
    # The ramp would not fit either way, but ramp.timeout is not known: one sentence, not two.
    assert len(faults("ramp.timeout=soon", "ramp.rate=1/s")) == 1
    assert len(faults("publish.deadline=never", "phases.drain=1s")) == 1
    assert len(faults("target.dialect=x", "publish.message=x", "client.hello=x")) == 1
