"""Where a master listens: `HOST[:PORT]` as people write it, and which of those others can reach."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from loadtest.errors import UsageError

DEFAULT_PORT = 5557
"""Locust's own."""
EVERYWHERE = frozenset({"*", "0.0.0.0", "::"})
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Address:
    """A host (a name, a numeric address, or `*` for all) and a port."""

    host: str
    port: int = DEFAULT_PORT

    @classmethod
    def parse(cls, text: str, flag: str) -> Address:
        """Read "host", "host:port", "[v6]:port" or a bare IPv6 address; `flag` names it in errors.

        Raises:
            UsageError: none of these, or a port that is none.
        """
        host, port = text.strip(), str(DEFAULT_PORT)
        if host.startswith("["):
            host, _, rest = host[1:].partition("]")
            port = rest.removeprefix(":") if rest else port
        elif host.count(":") == 1:
            host, _, port = host.partition(":")
        if not host or any(char.isspace() or char in "/@" for char in host):
            raise UsageError(f'{flag}: "{text}" is not HOST or HOST:PORT')
        if not (port.isdecimal() and 1 <= int(port) <= 65_535):
            raise UsageError(f'{flag}: "{port}" is not a port from 1 to 65535')
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def everywhere(self) -> bool:
        """Whether it stands for all addresses of the machine."""
        return self.host in EVERYWHERE

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return is_loopback(self.host)

    @property
    def from_here(self) -> str:
        """Return the host by which processes of this machine reach it."""
        return LOOPBACK if self.everywhere else self.host


def is_loopback(host: str) -> bool:
    """Whether a host name or numeric address is this machine's own loopback; a name other than localhost is not."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
