"""What the composition root decides before a process exists: config, ports, files, commands, orders."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from reference_gateway.errors import NotRunningError, PortInUseError, SettingError
from reference_gateway.health import Health, probe_redis
from reference_gateway.stack import ready as ready_files
from reference_gateway.stack.broker import redact_url, server_command
from reference_gateway.stack.composition import compose
from reference_gateway.stack.config import StackConfig, find_versions
from reference_gateway.stack.data import PREFIX, DataFolder, remove_abandoned
from reference_gateway.stack.deploy import DeployOrder
from reference_gateway.stack.ports import assign_ports
from reference_gateway.stack.ready import SCHEMA, claim_state_file, read_ready, withdraw, write_ready

LOOPBACK = "127.0.0.1"


@pytest.fixture(autouse=True)
def _own_runtime_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def config_of(label="bifrost-1", **settings):
    return StackConfig(versions=find_versions(label), **settings)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"nodes": 0}, "--nodes 0: allowed is 1 to 256"),
        ({"nodes": 257}, "--nodes 257"),
        ({"port_base": 0}, "--port-base 0"),
        ({"port_base": 65536}, "--port-base 65536"),
        ({"host": "localhost"}, "--host 'localhost'"),
        ({"rules_file": Path("/nonexistent.toml")}, "no such file"),
        ({"label": "sync+sync"}, "each at most once"),
        ({"tables": 0}, "--tables 0: allowed is 1 to 64"),
        (
            {"tables": 2, "label": "sync"},
            "--tables 2: not with --version sync, only with bifrost-1 as it is; give more",
        ),
        ({"tables": 2, "label": "bifrost-2"}, "--tables 2: not with --version bifrost-2"),
        ({"tables": 2, "label": "bifrost-1+bifrost-5"}, "--tables 2: not with --version"),
        ({"tables": 2, "capacity_per_s": 10.0}, "--tables 2: not with --capacity"),
        ({"tables": 2, "redis_url": "redis://broker:6379/0"}, "--tables 2: not with REDIS_URL with the name of a host"),
    ],
)
def test_impossible_config_names_the_flag(settings, said):
    with pytest.raises(SettingError, match="^" + said if said.startswith("--") else said):
        config_of(**settings)


@pytest.mark.parametrize(
    ("label", "nodes", "names"),
    [
        ("sync", 1, ["gateway-1", "godserver"]),
        ("sync", 2, ["broker", "gateway-1", "gateway-2", "godserver"]),
        ("bifrost-1", 1, ["broker", "collections", "api", "gateway-1", "godserver"]),
        ("bifrost-6", 1, ["broker", "broker-replica", "collections", "api", "gateway-1", "godserver"]),
        ("sync+bifrost-1", 1, ["broker", "collections", "api", "gateway-1", "gateway-2", "godserver"]),
    ],
)
def test_parts_follow_from_the_version(label, nodes, names):
    with DataFolder(None, None) as data:
        composition = compose(config_of(label, nodes=nodes), data, "token")
    assert [part.name for part in composition.parts] == names
    assert len({part.port for part in composition.parts} | {composition.control_port}) == len(names) + 1


@pytest.mark.parametrize(("nodes", "tables", "rests"), [(1, 1, False), (1, 2, True), (200, 1, True), (200, 64, True)])
def test_nodes_with_tables_rest_and_count_as_many(nodes, tables, rests):
    with DataFolder(None, None) as data:
        composition = compose(config_of(nodes=nodes, tables=tables), data, "token")
    env = composition.gateways[0].env
    assert env["RG_TABLES"] == str(tables)
    assert (0 < float(env["RG_REST_S"]) <= 1) == rests
    assert bool(env["RG_ORDER_TOKEN"]) == (tables == 1)


def test_broker_and_replica_follow_each_other_when_started_again():
    with DataFolder(None, None) as data:
        composition = compose(config_of("bifrost-6"), data, "token")
    one, two = composition.brokers
    assert "--replicaof" not in one.argv
    assert two.argv[-3:] == ["--replicaof", LOOPBACK, str(one.port)]
    assert one.again[-3:] == ["--replicaof", LOOPBACK, str(two.port)]
    assert two.again[-3:] == ["--replicaof", LOOPBACK, str(one.port)]
    urls = f"redis://{LOOPBACK}:{one.port}/0 redis://{LOOPBACK}:{two.port}/0"
    assert [part.env["REDIS_URL"] for part in composition.gateways] == [urls]


def test_session_key_is_a_secret_of_the_nodes_that_recover_sessions():
    with DataFolder(None, None) as data:
        composition = compose(config_of("bifrost-4+bifrost-5"), data, "token")
    keys = {part.name: part.env.get("RG_SESSION_KEY", "") for part in composition.parts}
    assert len(keys.pop("gateway-2")) > 32
    assert set(keys.values()) == {""}


def test_only_public_parts_leave_loopback():
    with DataFolder(None, None) as data:
        composition = compose(config_of("sync+bifrost-1", host="127.0.0.2"), data, "token")
    listening = {part.name: part.env.get("RG_HOST", part.host) for part in composition.parts}
    assert listening["api"] == listening["collections"] == listening["broker"] == LOOPBACK
    assert listening["godserver"] == listening["gateway-1"] == listening["gateway-2"] == "127.0.0.2"


def test_secrets_reach_only_the_parts_that_need_them(monkeypatch):
    secrets = {"DATABASE_URL": "mysql+asyncmy://u:dbpass@h/d", "REDIS_URL": "redis://u:rdpass@h:6379/0"}
    for name, url in secrets.items():
        monkeypatch.setenv(name, url)
    config = config_of(redis_url=secrets["REDIS_URL"], database_url=secrets["DATABASE_URL"])
    with DataFolder(None, None) as data:
        composition = compose(config, data, "token")
    holders = {
        part.name: [word for word in ("dbpass", "rdpass") if word in json.dumps(part.env)] for part in composition.parts
    }
    assert holders == {"collections": ["dbpass", "rdpass"], "api": [], "gateway-1": ["rdpass"], "godserver": []}
    shown = json.dumps([*(part.describe() for part in composition.parts), *composition.outside_parts])
    assert "pass" not in shown


def test_wildcard_host_is_reached_on_loopback():
    with DataFolder(None, None) as data:
        composition = compose(config_of("sync", host="0.0.0.0"), data, "token")
    assert composition.gateways[0].url.startswith("ws://127.0.0.1:")
    assert composition.gateways[0].env["RG_HOST"] == "0.0.0.0"


def test_port_base_fixes_the_layout():
    names = ["godserver", "control", "gateway-1", "gateway-2"]
    base = free_base()
    ports = assign_ports(names, dict.fromkeys(names, LOOPBACK), base)
    assert ports == {"godserver": base, "control": base + 1, "gateway-1": base + 10, "gateway-2": base + 11}


def test_taken_ports_are_all_named_with_the_remedy():
    base = free_base()
    names = ["godserver", "control", "gateway-1"]
    with socket.socket() as one, socket.socket() as other:
        for sock, port in ((one, base), (other, base + 10)):
            sock.bind((LOOPBACK, port))
            sock.listen()
        with pytest.raises(
            PortInUseError, match=rf"port {base} for godserver.*port {base + 10} for gateway-1.*--port-base"
        ):
            assign_ports(names, dict.fromkeys(names, LOOPBACK), base)


def test_ports_past_the_last_are_refused():
    with pytest.raises(SettingError, match="65535 is the last"):
        assign_ports(["godserver", "gateway-1"], dict.fromkeys(["godserver", "gateway-1"], LOOPBACK), 65530)


def test_free_ports_lie_below_the_ephemeral_range():
    first_ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    names = [f"gateway-{number}" for number in range(20)]
    ports = assign_ports(names, dict.fromkeys(names, LOOPBACK), None)
    assert len(set(ports.values())) == 20
    assert first_ephemeral < 12_000 or max(ports.values()) < first_ephemeral


def free_base():
    names = [f"gateway-{number}" for number in range(30)]
    for base in range(11_000, 30_000, 40):
        try:
            assign_ports(
                ["godserver", "control", "collections", "api", "broker", *names],
                dict.fromkeys(["godserver", "control", "collections", "api", "broker", *names], LOOPBACK),
                base,
            )
        except PortInUseError:
            continue
        return base
    raise AssertionError("no free range")


def ready_of(pid):
    return {"schema": SCHEMA, "pid": pid, "control": {"url": "http://127.0.0.1:1", "token": "t"}, "bootstrap_url": ""}


def test_ready_file_is_private_and_whole(tmp_path):
    path = tmp_path / "ready.json"
    path.write_text("old")
    path.chmod(0o644)
    write_ready(path, ready_of(os.getpid()))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_ready(path)["pid"] == os.getpid()
    assert [file.name for file in tmp_path.iterdir()] == ["ready.json"]


def test_ready_file_in_a_missing_folder_is_said(tmp_path):
    with pytest.raises(SettingError, match="cannot write"):
        write_ready(tmp_path / "no" / "ready.json", ready_of(1))


def ended_pid():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "does not exist"),
        ("{", "not a ready file"),
        ("[]", "not a ready file"),
        ('{"pid": 1}', "not a ready file"),
    ],
)
def test_unusable_ready_file_says_why(tmp_path, content, said):
    path = tmp_path / "ready.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(NotRunningError, match=said):
        read_ready(path)


def test_stale_ready_file_names_the_dead_process(tmp_path):
    pid = ended_pid()
    write_ready(tmp_path / "ready.json", ready_of(pid))
    with pytest.raises(NotRunningError, match=f"stale.*{pid}"):
        read_ready(tmp_path / "ready.json")


def test_state_file_of_a_living_stack_is_left_alone():
    assert claim_state_file(ready_of(os.getppid())) is not None
    assert claim_state_file(ready_of(os.getpid())) is None
    assert read_ready(ready_files.state_file())["pid"] == os.getppid()


def test_state_file_of_a_dead_stack_is_taken_over():
    assert claim_state_file(ready_of(ended_pid())) is not None
    path = claim_state_file(ready_of(os.getpid()))
    assert path is not None
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_withdraw_removes_only_what_this_process_wrote(tmp_path):
    mine, other = tmp_path / "mine.json", tmp_path / "other.json"
    write_ready(mine, ready_of(os.getpid()))
    write_ready(other, ready_of(os.getppid()))
    for path in (mine, other, tmp_path / "missing.json", None):
        withdraw(path)
    assert (mine.exists(), other.exists()) == (False, True)


def test_temporary_data_folder_lives_as_long_as_its_stack(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with DataFolder(None, None) as data:
        assert stat.S_IMODE(data.folder.stat().st_mode) == 0o700
        assert data.rules_file.is_file()
        assert remove_abandoned(tmp_path) == 0
    assert list(tmp_path.glob(f"{PREFIX}*")) == []


def test_folder_of_a_killed_stack_is_removed_by_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    abandoned, newborn = tmp_path / f"{PREFIX}dead", tmp_path / f"{PREFIX}newborn"
    abandoned.mkdir()
    newborn.mkdir()
    (abandoned / "lock").write_text("")
    with DataFolder(None, None):
        assert (abandoned.exists(), newborn.exists()) == (False, True)


def test_given_data_folder_stays_and_serves_one_stack_at_a_time(tmp_path):
    folder = tmp_path / "data"
    with DataFolder(folder, None), pytest.raises(SettingError, match="in use by another stack"):
        DataFolder(folder, None)
    assert folder.is_dir()


def test_broker_keeps_nothing_and_listens_to_loopback(tmp_path):
    command = " ".join(server_command(Path("/bin/server"), LOOPBACK, 7000, tmp_path))
    assert "--bind 127.0.0.1 --port 7000" in command
    assert "--save  --appendonly no" in command


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://user:secret@h:6379/0", "redis://***@h:6379/0"),
        ("redis://:secret@[::1]:6379", "redis://***@[::1]:6379"),
        ("mysql+asyncmy://root@db/rg?password=secret", "mysql+asyncmy://***@db/rg"),
        ("redis://h:1/0", "redis://h:1/0"),
    ],
)
def test_redact_url_shows_no_secret(url, shown):
    assert redact_url(url) == shown


@pytest.mark.parametrize(
    ("body", "order"),
    [
        ({"strategy": "rolling", "drain_seconds": 2}, DeployOrder("rolling", 2.0)),
        ({"strategy": "all-at-once"}, DeployOrder("all-at-once", 0.0)),
        ({"strategy": "rolling", "tier": "api"}, DeployOrder("rolling", 0.0, tier="api")),
        (
            {"strategy": "blue-green", "pace_s": 1.5, "close_code": 1012, "retry_after_s": 30},
            DeployOrder("blue-green", 0.0, pace_s=1.5, close_code=1012, retry_after_s=30.0),
        ),
    ],
)
def test_deploy_order_is_read(body, order):
    assert DeployOrder.parse(body) == order


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "strategy None: allowed is all-at-once, rolling or blue-green"),
        ({"strategy": "blue"}, "strategy 'blue'"),
        ({"strategy": []}, "strategy"),
        ({"strategy": "rolling", "drain_seconds": -1}, "0 to 3600"),
        ({"strategy": "rolling", "drain_seconds": "2"}, "not a number"),
        ({"strategy": "rolling", "drain_seconds": float("inf")}, "not a number"),
        ({"strategy": "rolling", "drain_seconds": True}, "not a number"),
        ({"strategy": "rolling", "pace": 1}, "unknown key 'pace'"),
        ({"strategy": "rolling", "pace_s": 3601}, "pace_s 3601: allowed is 0 to 3600"),
        ({"strategy": "rolling", "close_code": 1006}, "close_code 1006"),
        ({"strategy": "rolling", "close_code": True}, "close_code True"),
        ({"strategy": "rolling", "tier": "broker"}, "tier 'broker': allowed is gateway or api"),
        ({"strategy": "blue-green", "tier": "api"}, "one process"),
        ([], "JSON object"),
    ],
)
def test_impossible_deploy_order_names_the_key(body, said):
    with pytest.raises(SettingError, match=said):
        DeployOrder.parse(body)


def test_probe_of_a_closed_port_is_not_healthy():
    import asyncio

    with socket.socket() as unused:
        unused.bind((LOOPBACK, 0))
        assert asyncio.run(probe_redis(LOOPBACK, unused.getsockname()[1], 1.0)) is Health.UNREACHABLE
