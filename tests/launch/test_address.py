"""HOST[:PORT] as people write it."""

from __future__ import annotations

import pytest

from loadtest.errors import UsageError
from loadtest.launch.address import Address


@pytest.mark.parametrize(
    ("text", "host", "port", "shown"),
    [
        ("10.0.0.1", "10.0.0.1", 5557, "10.0.0.1:5557"),
        ("10.0.0.1:6000", "10.0.0.1", 6000, "10.0.0.1:6000"),
        ("master.example:1", "master.example", 1, "master.example:1"),
        ("*", "*", 5557, "*:5557"),
        ("[fd00::1]:6000", "fd00::1", 6000, "[fd00::1]:6000"),
        ("[fd00::1]", "fd00::1", 5557, "[fd00::1]:5557"),
        ("fd00::1", "fd00::1", 5557, "[fd00::1]:5557"),
    ],
)
def test_addresses_are_read(text: str, host: str, port: int, shown: str) -> None:
    address = Address.parse(text, "--bind")
    assert (address.host, address.port, str(address)) == (host, port, shown)


@pytest.mark.parametrize(
    "text", ["", ":5557", "host:", "host:0", "host:65536", "host:http", "ws://host", "a b", "[]:1"]
)
def test_what_is_none_is_refused_with_its_flag(text: str) -> None:
    with pytest.raises(UsageError, match="--bind"):
        Address.parse(text, "--bind")


@pytest.mark.parametrize(
    ("host", "loopback", "from_here"),
    [
        ("127.0.0.1", True, "127.0.0.1"),
        ("localhost", True, "localhost"),
        ("::1", True, "::1"),
        ("*", False, "127.0.0.1"),
        ("0.0.0.0", False, "127.0.0.1"),
        ("10.0.0.1", False, "10.0.0.1"),
        ("master.example", False, "master.example"),
    ],
)
def test_who_can_reach_it(host: str, loopback: bool, from_here: str) -> None:
    address = Address(host)
    assert (address.is_loopback, address.from_here) == (loopback, from_here)
