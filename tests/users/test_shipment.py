"""Files of a profile on a worker that has none of them."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from loadtest.errors import UsageError
from loadtest.profile.loader import parse_profile
from loadtest.profile.model import Profile
from loadtest.users.shipment import MOST_BYTES, Store, pack

TEXT = """
duration = "1s"
[target]
dialect = "websocket"
url = "wss://gateway.example"
tls = { ca = "keys/ca.pem", cert = "keys/client.pem", key = "keys/client.key" }
[client]
csv = "users.csv"
query = { who = "{who}" }
[population]
connections = 3
"""


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    (tmp_path / "keys").mkdir()
    for name in ("ca.pem", "client.pem", "client.key"):
        (tmp_path / "keys" / name).write_text(f"{name} of the master's machine")
    (tmp_path / "users.csv").write_text("who\nann\nbob\n")
    return parse_profile(TEXT, "test", tmp_path)


def test_files_arrive_without_ever_being_on_a_disk(profile: Profile, tmp_path: Path) -> None:
    shipment = pack(profile)
    assert sorted(shipment) == ["keys/ca.pem", "keys/client.key", "keys/client.pem", "users.csv"]
    store = Store()
    arrived = store.unpack(profile.content(), shipment)
    assert arrived.users is not None
    assert [arrived.users.row(index)["who"] for index in range(3)] == ["ann", "bob", "ann"]
    tls = arrived.target.tls
    assert tls is not None
    assert tls.key is not None
    key = arrived.file(tls.key)
    assert key.read_text() == "client.key of the master's machine"
    assert stat.S_ISREG(key.stat().st_mode)
    assert "memfd:client.key" in str(key.readlink())
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    store.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors - 4
    assert not key.exists()
    store.close()


def test_a_profile_without_files_ships_nothing(tmp_path: Path) -> None:
    plain = parse_profile(
        'duration = "1s"\npopulation = { connections = 1 }', "t", tmp_path, target_url="ws://a.example"
    )
    assert pack(plain) == {}
    assert Store().unpack(plain.content(), {}).population.connections == 1


def test_too_much_is_refused_with_the_sizes(profile: Profile, tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("who\n" + "x\n" * (MOST_BYTES // 2))
    with pytest.raises(UsageError, match=r"users.csv 8,388,612.*at most 8,388,608"):
        pack(profile)


def test_a_file_that_is_gone_is_named(profile: Profile, tmp_path: Path) -> None:
    (tmp_path / "keys" / "ca.pem").unlink()
    with pytest.raises(UsageError, match=r"ca\.pem: No such file"):
        pack(profile)


def test_a_master_cannot_have_a_worker_read_its_own_files(profile: Profile) -> None:
    content = profile.content()
    content["client"]["csv"] = "/etc/passwd"
    with pytest.raises(UsageError, match="/etc/passwd"):
        Store().unpack(content, pack(profile))
