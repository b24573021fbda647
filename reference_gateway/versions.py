"""The gateway versions of the reference stack: a version is a row of this table, never a fork of the code.

A row says which shape the stack has and which switches are on. Adding a version is adding a row; adding a switch is
adding a field, with the value that leaves the older rows as they were.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from reference_gateway.errors import UnknownVersionError


@dataclass(frozen=True, slots=True)
class Version:
    """One gateway version.

    Attributes:
        name: what `--version` and profiles call it.
        shape: "monolith" = sockets and SQL transactions in one process; "split" = gateway nodes, private API,
            collections service and broker, each its own process.
        broker_for_one_node: whether a single node already needs the broker (several nodes always do).
        paced_drain: whether a node ending under a deploy spreads its closes over `drain_seconds`.
        summary: one sentence for the table.
    """

    name: str
    shape: Literal["monolith", "split"]
    broker_for_one_node: bool
    paced_drain: bool
    summary: str


VERSIONS: tuple[Version, ...] = (
    Version(
        name="sync",
        shape="monolith",
        broker_for_one_node=False,
        paced_drain=False,
        summary="the monolith: sockets and database transactions share one process and one pool",
    ),
    Version(
        name="bifrost-1",
        shape="split",
        broker_for_one_node=True,
        paced_drain=True,
        summary="the naive split: gateway nodes only hold sockets; private API, service and broker behind them",
    ),
)


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
