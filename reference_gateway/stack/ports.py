"""Which port each part gets, known and found free before anything starts.

Free ports are taken from below the kernel's ephemeral range: a port inside it can be taken by any outgoing connection
in the moment when a deploy has ended the old process and not yet started the new one, and a load test makes thousands.

With `--port-base P` the layout is fixed: godserver P, control P+1, collections P+2, api P+3, broker P+4, front P+5 (the
second version's P+6), node i P+9+i.
"""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from reference_gateway.errors import PortInUseError, SettingError

OFFSETS: Final[Mapping[str, int]] = {
    "godserver": 0,
    "control": 1,
    "collections": 2,
    "api": 3,
    "broker": 4,
    "front-1": 5,
    "front-2": 6,
}
GATEWAY_OFFSET: Final = 10
_LOWEST_FREE: Final = 10_000
_ENOUGH: Final = 2_000


def assign_ports(names: Sequence[str], hosts: Mapping[str, str], port_base: int | None) -> dict[str, int]:
    """Return a port for each part, all of them free now.

    Args:
        names: parts in order; those that are not in the fixed layout count as gateway nodes.
        hosts: the address each part will listen on.
        port_base: first of the fixed ports, or None for any free ones.

    Raises:
        PortInUseError: fixed ports are taken; all of them are named.
        SettingError: the layout does not fit above `port_base`.
    """
    if port_base is None:
        return _choose_free(names, hosts)
    ports: dict[str, int] = {}
    for name in names:
        nodes_so_far = sum(1 for known in ports if known not in OFFSETS)
        ports[name] = port_base + OFFSETS.get(name, GATEWAY_OFFSET + nodes_so_far)
    if max(ports.values()) > 65535:
        raise SettingError(
            f"--port-base {port_base}: the stack needs ports up to {max(ports.values())}, 65535 is the last"
        )
    faults = []
    for name, port in ports.items():
        reason = _why_not(hosts[name], port)
        if reason:
            faults.append(f"port {port} for {name} on {hosts[name]}: {reason}")
    if faults:
        holder = f"ss -ltnp 'sport = :{next(iter(ports.values()))}'"
        raise PortInUseError(
            "; ".join(faults)
            + f". Choose another --port-base, leave it out for free ports, or end the holder ({holder})"
        )
    return ports


def _choose_free(names: Sequence[str], hosts: Mapping[str, str]) -> dict[str, int]:
    candidates = list(_candidates())
    # Two stacks started at the same moment must not walk the same list: this draw is not part of any measurement.
    random.SystemRandom().shuffle(candidates)
    ports: dict[str, int] = {}
    for name in names:
        while name not in ports:
            if not candidates:
                raise PortInUseError(f"no free port is left for {name} on {hosts[name]}: end what holds them")
            port = candidates.pop()
            if not _why_not(hosts[name], port):
                ports[name] = port
    return ports


def _candidates() -> range:
    try:
        first_ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        first_ephemeral = 32_768
    below = range(_LOWEST_FREE, first_ephemeral)
    return below if len(below) >= _ENOUGH else range(_LOWEST_FREE, 65_536)


def _why_not(host: str, port: int) -> str:
    """Return why a server cannot bind (host, port), empty when it can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As the parts themselves do: closing connections of an earlier run (TIME_WAIT) are no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            return "in use" if error.errno == errno.EADDRINUSE else (error.strerror or str(error)).lower()
    return ""
