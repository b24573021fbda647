"""What the herd must know of the clients it plays, and of the run; filled in by whoever runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from loadtest.clock import NS_PER_MS, NS_PER_S
from loadtest.herd.sockets import Target
from loadtest.protocol.events import Acked, Delivered


class Clients(Protocol):
    """The population, by client index: nothing is stored per client that can be computed."""

    @property
    def groups(self) -> int:
        """Subscriptions per client at most (one per channel group)."""

    def variables(self, index: int) -> Mapping[str, object]:
        """Return the values of client `index`'s placeholders."""

    def channels(self, index: int) -> Sequence[int]:
        """Return the channel number in each group, -1 where the client has none."""

    def channel_name(self, channel: int) -> str:
        """Return what the application calls a channel."""

    def upgrade(self, target: Target, variables: Mapping[str, object], key: bytes) -> bytes:
        """Return the HTTP request that opens the WebSocket."""


class Hooks(Protocol):
    """Somebody who wants to know: called from the herd's turn, so it must not block. `slot` names the connection."""

    def connected(self, slot: int) -> None:
        """The client is in session, all its subscriptions acknowledged."""

    def message(self, slot: int, message: Delivered) -> None:
        """An application message arrived, with or without a marker."""

    def acked(self, slot: int, answer: Acked) -> None:
        """A request that the herd did not make itself was answered."""

    def disconnected(self, slot: int, reason: str) -> None:
        """A live connection was lost."""


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """An HTTP GET before the upgrade whose JSON answer names the gateway's URL at `path` (dotted)."""

    target: Target
    path: tuple[str, ...]
    once: bool


@dataclass(frozen=True, slots=True)
class Settings:
    """The herd's patience. Durations in ns.

    connect_ns: give-up time of one attempt, TCP to session. subscribe_ns: for all subscriptions together.
    settle_ns: when nothing acknowledges a subscription, it counts from this long after it was sent.
    max_in_flight: attempts under way at most; more wait and are counted. canary: a client is recovered only with a
    message received (False when nothing is published). late_acks: see `sockets.connect`; only where a round takes
    longer anyway than the 40 ms for which it may hold up a server that does not set TCP_NODELAY. tick_ns: how late a
    wait or a give-up may be.
    """

    run: str
    connect_ns: int = 10 * NS_PER_S
    subscribe_ns: int = 10 * NS_PER_S
    settle_ns: int = NS_PER_S
    max_in_flight: int = 1024
    canary: bool = True
    late_acks: bool = False
    tick_ns: int = 10 * NS_PER_MS
