"""Which local address the next connection leaves from.

`connect()` on one (source, destination) pair slows from 30 us to 70 ms a call once half of the ephemeral ports are in
use, so connections are spread over source addresses and no pair carries more than a safe share of the ports.
On loopback every address of 127/8 is ours; elsewhere the caller lists what its interfaces hold.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from loadtest.errors import UsageError

SAFE_PER_PAIR = 12_000
"""Connections per (source address, destination): under half of the default 28,232 ephemeral ports."""

_MOST = 4096


def expand(ranges: Iterable[str]) -> tuple[str, ...]:
    """Return the addresses of `ranges`: "127.0.1.1", "127.0.1.1-127.0.1.8", "127.0.1.0/28", "fd00::1-fd00::8".

    Raises:
        UsageError: not an address, a range that runs backwards, or more than 4,096 addresses in all.
    """
    found: list[str] = []
    for text in ranges:
        try:
            found.extend(_one(text.strip()))
        except ValueError as error:
            raise UsageError(
                f'source_addresses: "{text}" is not an address, a range "a-b" or a network "a/n" ({error})'
            ) from error
        if len(found) > _MOST:
            raise UsageError(
                f"source_addresses: more than {_MOST} addresses; {_MOST * SAFE_PER_PAIR:,} sockets need fewer"
            )
    return tuple(found)


def _one(text: str) -> list[str]:
    if "/" in text:
        network = ipaddress.ip_network(text, strict=False)
        if network.num_addresses > _MOST:
            raise ValueError(f"{network.num_addresses} addresses, at most {_MOST}")
        return [str(address) for address in (network.hosts() if network.num_addresses > 2 else network)]
    if "-" in text:
        first, last = (ipaddress.ip_address(part.strip()) for part in text.split("-", 1))
        count = int(last) - int(first) + 1
        if first.version != last.version or not 0 < count <= _MOST:
            raise ValueError("the range must run upwards, at most 4096 long")
        return [str(type(first)(int(first) + i)) for i in range(count)]
    return [str(ipaddress.ip_address(text))]


def automatic(destination: str, worker: int, connections: int) -> tuple[str, ...]:
    """Return source addresses for `connections` sockets of worker number `worker` to a numeric `destination`.

    Only IPv4 loopback can be spread by itself: worker w gets 127.1.w.1, .2, ... (two workers share none); for any other
    destination the kernel chooses, and `()` is returned.
    """
    if not destination.startswith("127."):
        return ()
    needed = -(-connections // SAFE_PER_PAIR)
    return tuple(f"127.{1 + worker // 250}.{worker % 250}.{1 + i}" for i in range(max(1, needed)))


class SourcePool:
    """Hand out source addresses round robin; an empty pool leaves the choice to the kernel (None)."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = tuple(addresses)
        self._next = 0

    def __len__(self) -> int:
        return len(self._addresses)

    def take(self) -> str | None:
        """Return the address of the next connection."""
        if not self._addresses:
            return None
        self._next = (self._next + 1) % len(self._addresses)
        return self._addresses[self._next]
