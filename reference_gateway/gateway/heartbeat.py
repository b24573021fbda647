"""All the time a node keeps for its connections, in one timer: pings, ping timeouts, handshakes, closes.

The law: no connection has a timer. The node calls `tick` every `tick_s`; a late tick is not made up for, so a node
that was stopped gives its clients the time back instead of timing them all out.

    wheel of n buckets, one turn = ping interval; connections are dealt to the buckets in turn, so that those who
    came together in a storm are not pinged together for ever
      ping cursor    -> bucket: send a ping to those that owe no answer
      timeout cursor -> bucket: close those whose oldest unanswered ping is ping_timeout old
    lapses: first in, first out, each of one length: handshake, close grace

Source: engine.io-protocol v4, "Heartbeat": the server pings, a client that does not answer in time is closed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from math import ceil, gcd
from typing import Final, Protocol

from .settings import Settings

STEP_S: Final = 0.25
RESTS_PER_STEP: Final = 4


class Pinged(Protocol):
    """What the heartbeat knows of a connection."""

    unanswered_tick: int | None
    bucket: set[Pinged] | None

    def ping(self) -> None:
        """Send a ping."""

    def ping_timed_out(self) -> None:
        """End: it owes an answer for too long."""

    def handshake_timed_out(self) -> None:
        """End, unless it is through with its handshake."""

    def close_timed_out(self) -> None:
        """End for good: the peer did not close its side."""


class Lapse:
    """A queue whose entries come out `ticks` ticks after they went in. Cost: one list slot per entry."""

    def __init__(self, ticks: int) -> None:
        self._ticks = ticks
        self._rows: deque[list[Pinged]] = deque([[]])

    def add(self, session: Pinged) -> None:
        """Let `session` come out after this lapse."""
        self._rows[-1].append(session)

    def tick(self) -> list[Pinged]:
        """Return what is due now."""
        self._rows.append([])
        return self._rows.popleft() if len(self._rows) > self._ticks else []


class Heartbeat:
    """The wheel and the lapses of one node.

    Args:
        ping_interval_s, ping_timeout_s: as told to clients in the OPEN packet.
        handshake_s: from accept to Socket.IO CONNECT.
        close_s: from our close frame to the end of the socket.
        step_s: the tick is not shorter than this, as far as the ping interval allows. A node that rests needs it: what
            is late by more than a tick is not made up for.
    """

    def __init__(
        self, ping_interval_s: float, ping_timeout_s: float, handshake_s: float, close_s: float, step_s: float = STEP_S
    ) -> None:
        buckets = max(4, round(ping_interval_s / min(step_s, ping_interval_s / 8)))
        self.tick_s = ping_interval_s / buckets
        self._timeout_ticks = max(1, round(ping_timeout_s / self.tick_s))
        self._wheel: list[set[Pinged]] = [set() for _ in range(buckets)]
        self._now = 0
        self._dealt = 0
        # About the golden section of a turn, and coprime to it: any run of consecutive connections is spread evenly.
        self._stride = next(step for step in range(round(buckets * 0.618), 0, -1) if gcd(step, buckets) == 1)
        self._handshakes = Lapse(self._ticks_of(handshake_s))
        self._closes = Lapse(self._ticks_of(close_s))

    def _ticks_of(self, lapse_s: float) -> int:
        """Return a lapse in ticks; it begins in the middle of one."""
        return max(1, ceil(lapse_s / self.tick_s - 1e-6))

    def opening(self, session: Pinged) -> None:
        """Watch a connection whose handshake begins."""
        self._handshakes.add(session)

    def enter(self, session: Pinged) -> None:
        """Ping this connection once per interval from now on, first when the turn of its bucket comes."""
        self._dealt += self._stride
        session.bucket = self._wheel[self._dealt % len(self._wheel)]
        session.bucket.add(session)

    def leave(self, session: Pinged) -> None:
        """Ping it no more."""
        if session.bucket is not None:
            session.bucket.discard(session)
            session.bucket = None

    def closing(self, session: Pinged) -> None:
        """Watch a connection that was sent a close frame."""
        self._closes.add(session)

    def tick(self) -> None:
        """Do what is due. Cost: about 7 us per ping sent, mostly the kernel's."""
        self._now += 1
        late = self._wheel[(self._now - self._timeout_ticks) % len(self._wheel)]
        for session in tuple(late):
            if session.unanswered_tick is not None and self._now - session.unanswered_tick >= self._timeout_ticks:
                session.ping_timed_out()
        for session in tuple(self._wheel[self._now % len(self._wheel)]):
            if session.unanswered_tick is None:
                session.unanswered_tick = self._now
                session.ping()
        for session in self._handshakes.tick():
            session.handshake_timed_out()
        for session in self._closes.tick():
            session.close_timed_out()

    def __iter__(self) -> Iterator[Pinged]:
        """Every connection that is being pinged."""
        for bucket in self._wheel:
            yield from tuple(bucket)


def open_heartbeat(settings: Settings) -> Heartbeat:
    """Return the heartbeat of a node; one that works in rounds ticks less often than it looks at its sockets."""
    return Heartbeat(
        settings.ping_interval_s,
        settings.ping_timeout_s,
        settings.handshake_timeout_s,
        settings.close_grace_s,
        max(STEP_S, RESTS_PER_STEP * settings.rest_s),
    )
