"""The gateway versions of the reference stack: a version is a row of this table, never a fork of the code.

A row says which shape the stack has and which switches are on; each row of the split adds one cure to the one before.
Adding a version is adding a row; adding a switch is adding a field, with the value that leaves the older rows as they
were.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Literal

from reference_gateway.errors import UnknownVersionError


@dataclass(frozen=True, slots=True)
class Version:
    """One gateway version.

    Attributes:
        name: what `--version` and profiles call it.
        shape: "monolith" = sockets and SQL transactions in one process; "split" = gateway nodes, private API,
            collections service and broker, each its own process.
        summary: one sentence for the table.
        broker_for_one_node: whether a single node already needs the broker (several nodes always do).
        paced_drain: whether a node ending under a deploy spreads its closes over `drain_seconds`.
        admission: whether a node admits clients at a bounded rate, and refuses the others before any work.
        retry_slots: whether who is turned away is told when to come back, one after the other at the admitted rate.
        handover: whether a deploy brings the new process up beside the old one, which then closes its clients at the
            admitted rate, each with a slot.
        dithered_lifetime: whether a connection is closed, with a slot, when it is an hour old, give or take a half.
        session_recovery: whether a client that comes back with its signed token is in its rooms again, on any node, and
            is sent what it missed.
        broker_replica: whether the broker is two servers, one written to and one listened to, either of which may die.
    """

    name: str
    shape: Literal["monolith", "split"]
    summary: str
    broker_for_one_node: bool = False
    paced_drain: bool = False
    admission: bool = False
    retry_slots: bool = False
    handover: bool = False
    dithered_lifetime: bool = False
    session_recovery: bool = False
    broker_replica: bool = False

    @property
    def is_split(self) -> bool:
        """Whether gateway nodes are programs of their own, with the private API behind them."""
        return self.shape == "split"

    @property
    def switches(self) -> dict[str, bool]:
        """Every switch by name, in table order."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.type == "bool"}


_SYNC = Version(
    name="sync",
    shape="monolith",
    summary="the monolith: sockets and database transactions share one process and one pool",
)
_BIFROST_1 = Version(
    name="bifrost-1",
    shape="split",
    summary="the naive split: gateway nodes only hold sockets; private API, service and broker behind them",
    broker_for_one_node=True,
    paced_drain=True,
)
_BIFROST_2 = replace(
    _BIFROST_1,
    name="bifrost-2",
    summary="admission control: a token bucket and a cap on handshakes; whoever is over gets a cheap 503",
    admission=True,
)
_BIFROST_3 = replace(
    _BIFROST_2,
    name="bifrost-3",
    summary="retry slots: a refusal says when to come back, and spreads the crowd at the admitted rate",
    retry_slots=True,
)
_BIFROST_4 = replace(
    _BIFROST_3,
    name="bifrost-4",
    summary="paced drain: the new node first, then the old one's clients at the admitted rate; dithered lifetimes",
    handover=True,
    dithered_lifetime=True,
)
_BIFROST_5 = replace(
    _BIFROST_4,
    name="bifrost-5",
    summary="session recovery: signed tokens; who comes back is in its rooms again and is sent what it missed",
    session_recovery=True,
)
_BIFROST_6 = replace(
    _BIFROST_5,
    name="bifrost-6",
    summary="broker redundancy: one server is written to, its replica listened to; failover, and a buffer",
    broker_replica=True,
)

VERSIONS: tuple[Version, ...] = (_SYNC, _BIFROST_1, _BIFROST_2, _BIFROST_3, _BIFROST_4, _BIFROST_5, _BIFROST_6)


def names() -> tuple[str, ...]:
    """Return the names of all versions, in table order."""
    return tuple(version.name for version in VERSIONS)


def find(name: str) -> Version:
    """Return the row called `name`.

    Raises:
        UnknownVersionError: no such row; the message lists those that exist.
    """
    for version in VERSIONS:
        if version.name == name:
            return version
    raise UnknownVersionError(f"unknown gateway version {name!r}: choose one of {', '.join(names())}")
