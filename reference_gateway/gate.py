"""Before the server proper: a connection waits here, unread by anybody else, until the workshop has done its stages.

    accept --> Gate --head of a Socket.IO request--> Workshop --done--> the server's own protocol, with all that came
                \\--any other request (/healthz, /metrics)-------------/

Law: without a capacity there is no gate at all. A client that gives up is forgotten at once. What a client may send
meanwhile, and how long it may stay silent, is bounded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import cast

from reference_gateway.settings import read_number
from reference_gateway.workshop import Workshop

_TICK_S = 0.002
_SILENCE_S = 30.0
_MOST_BYTES = 64 * 1024
_GATED = b"GET /socket.io"
_NAMED = b"sid="  # a session that polls, which has been admitted


@dataclass(frozen=True, slots=True)
class Capacity:
    """What one node may work off; the environment variable of each field stands behind it."""

    per_s: float = 0.0  # RG_CAPACITY: full connects per second; 0 = no gate
    stages: int = 4  # RG_HANDSHAKE_STAGES
    held_cost_per_s: float = 0.0  # RG_HELD_COST: connects per second that a held connection takes of it


NO_GATE = Capacity()


def read_capacity(env: Mapping[str, str]) -> Capacity:
    """Read the capacity of a node.

    Raises:
        SettingError: one is malformed or out of bounds; it is named.
    """
    return Capacity(
        read_number(env, "RG_CAPACITY", 0.0, 0.0, 1e9),
        int(read_number(env, "RG_HANDSHAKE_STAGES", 4, 1, 64)),
        read_number(env, "RG_HELD_COST", 0.0, 0.0, 1e6),
    )


class Gatehouse:
    """All connections of one node that are not admitted yet. Create it inside the event loop.

    Args:
        held: how many connections the node holds at present.
        rng: who is served next.
        refuse: given how many are in hand, the whole answer for a client that is not even to be taken in hand, or None.
    """

    def __init__(
        self,
        capacity: Capacity,
        held: Callable[[], int],
        rng: Random | None = None,
        refuse: Callable[[int], bytes | None] = lambda _in_hand: None,
    ) -> None:
        self.workshop: Workshop[Gate] = Workshop(
            capacity.per_s, capacity.stages, capacity.held_cost_per_s, rng or Random()
        )
        self._held = held
        self._refuse = refuse
        self._loop = asyncio.get_running_loop()
        self._worked_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def gate(self, inner: Callable[[], asyncio.Protocol]) -> asyncio.Protocol:
        """Return what stands between a new connection and `inner`, which is made only when the client is admitted."""
        return Gate(self, inner)

    def enter(self, gate: Gate) -> None:
        """Take a client in hand, or refuse it."""
        refusal = self._refuse(len(self.workshop))
        if refusal is not None:
            gate.refuse(refusal)
            return
        self.workshop.enter(gate)
        if self._timer is None:
            self._worked_s = self._loop.time()
            self._timer = self._loop.call_later(_TICK_S, self._tick)

    def _tick(self) -> None:
        now_s = self._loop.time()
        done = self.workshop.work(now_s - self._worked_s, self._held())
        self._worked_s = now_s
        self._timer = self._loop.call_later(_TICK_S, self._tick) if len(self.workshop) else None
        for gate in done:
            gate.hand_over()


class Gate(asyncio.Protocol):
    """One connection before it is admitted."""

    __slots__ = ("_house", "_inner", "_received", "_silence", "_transport")

    def __init__(self, house: Gatehouse, inner: Callable[[], asyncio.Protocol]) -> None:
        self._house = house
        self._inner = inner
        self._received = b""
        self._silence: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the request."""
        self._transport = cast(asyncio.Transport, transport)
        self._silence = asyncio.get_running_loop().call_later(_SILENCE_S, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        """Queue a Socket.IO client with the first bytes of its request; let any other request through."""
        self._received += data
        if self._silence is None:
            if len(self._received) > _MOST_BYTES:
                self._transport.abort()
        elif len(self._received) >= len(_GATED) or b"\n" in self._received:
            self._silence.cancel()
            self._silence = None
            if self._received.startswith(_GATED) and _NAMED not in self._received.partition(b"\n")[0]:
                self._house.enter(self)
            else:
                self.hand_over()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The client gave up."""
        if self._silence is not None:
            self._silence.cancel()
        self._house.workshop.leave(self)

    def refuse(self, answer: bytes) -> None:
        """Answer for the server, and close."""
        self._transport.write(answer)
        self._transport.close()

    def hand_over(self) -> None:
        """Give the connection, and all that came on it, to the server proper."""
        if self._transport.is_closing():
            return
        inner = self._inner()
        self._transport.set_protocol(inner)
        inner.connection_made(self._transport)
        inner.data_received(self._received)
