"""A relay for one use of one server, so that the way between the two can be cut, silenced or made longer.

    consumer --> [listener] ==chunk==> (late by delay_s) ==> server        and back, each connection a pair

    open      everything passes, in order, `delay_s` late
    silenced  nothing is read from either side: what is sent waits, as behind a network that has gone away; a connect
              succeeds all the same (the kernel answers it), and hears nothing
    refused   open connections are reset, new ones are refused by the kernel

Law: it runs in the process that supervises the stack, and so ends with it: its connections are closed by the kernel.
Bounded: a side is not read while `MOST_BYTES` wait for the other.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, cast

MOST_BYTES: Final = 4 * 1024 * 1024


class Link:
    """The way of one consumer to one server.

    Args:
        consumer, server: names of the parts at its ends.
        host: where both listen. port: where the consumer is sent to. target_port: where the server listens.
    """

    def __init__(self, consumer: str, server: str, host: str, port: int, target_port: int) -> None:
        self.consumer = consumer
        self.server = server
        self.host = host
        self.port = port
        self.target_port = target_port
        self.delay_s = 0.0
        self.silenced = False
        self._sides: set[Side] = set()
        self._listener: asyncio.Server | None = None

    @property
    def ends(self) -> frozenset[str]:
        """The parts at its ends."""
        return frozenset({self.consumer, self.server})

    async def start(self) -> None:
        """Accept connections from now on.

        Raises:
            OSError: the port is taken.
        """
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: Side(self), self.host, self.port)

    def cut(self, *, refuse: bool) -> None:
        """Let nothing pass; `refuse` says so to both sides."""
        if not refuse:
            self.silenced = True
            for side in self._sides:
                side.regulate()
            return
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for side in tuple(self._sides):
            side.abort()

    async def mend(self) -> None:
        """Let everything pass again, what waited included."""
        self.silenced = False
        for side in self._sides:
            side.regulate()
        if self._listener is None:
            await self.start()

    def close(self) -> None:
        """End it, and all its connections."""
        self.cut(refuse=True)

    def joined(self, side: Side) -> None:
        """Know a side of a connection."""
        self._sides.add(side)
        side.regulate()

    def left(self, side: Side) -> None:
        """Forget it."""
        self._sides.discard(side)


class Side(asyncio.Protocol):
    """One side of a relayed connection; what it receives goes to `other`, which a new one of a consumer lacks yet."""

    def __init__(self, link: Link, other: Side | None = None) -> None:
        self.link = link
        self.other = other
        self.transport: asyncio.Transport | None = None
        self._late: deque[tuple[float, bytes]] = deque()
        self._late_bytes = 0
        self._full = False
        self._timer: asyncio.TimerHandle | None = None
        self._dialing: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; the consumer's side dials the server's."""
        self.transport = cast(asyncio.Transport, transport)
        self.link.joined(self)
        if self.other is not None:
            self.other.regulate()
        else:
            self._dialing = asyncio.create_task(self._dial())

    async def _dial(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, other = await loop.create_connection(
                lambda: Side(self.link, self), self.link.host, self.link.target_port
            )
        except OSError:
            self.abort()
            return
        self.other = other
        if self.transport is None or self.transport.is_closing():
            other.abort()
        self._flush()
        self.regulate()

    def data_received(self, data: bytes) -> None:
        """Pass a chunk on, at once or late."""
        self._late.append((asyncio.get_running_loop().time() + self.link.delay_s, data))
        self._late_bytes += len(data)
        self._flush()
        self.regulate()

    def pause_writing(self) -> None:
        """The peer does not read: read no more of the other side."""
        self._full = True
        if self.other is not None:
            self.other.regulate()

    def resume_writing(self) -> None:
        """The peer reads again."""
        self._full = False
        if self.other is not None:
            self.other.regulate()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """End the other side too, after what it is still owed."""
        self.link.left(self)
        if self._dialing is not None:
            self._dialing.cancel()
        self._end_other()

    def regulate(self) -> None:
        """Read from the peer, or do not."""
        if self.transport is None or self.transport.is_closing():
            return
        blocked = self.link.silenced or self._late_bytes > MOST_BYTES or (self.other is not None and self.other._full)
        if blocked:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()
            self._flush()

    def abort(self) -> None:
        """Reset both sides."""
        if self._timer is not None:
            self._timer.cancel()
        self._late.clear()
        if self.transport is not None:
            self.transport.abort()
        if self.other is not None and self.other.transport is not None:
            self.other.transport.abort()

    def _flush(self) -> None:
        """Hand over what is due, and come again for the rest."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        other = self.other.transport if self.other is not None else None
        if other is None or self.link.silenced:
            return
        loop = asyncio.get_running_loop()
        while self._late and self._late[0][0] <= loop.time():
            _, data = self._late.popleft()
            self._late_bytes -= len(data)
            other.write(data)
        if self._late:
            self._timer = loop.call_at(self._late[0][0], self._flush)
        elif self.transport is None or self.transport.is_closing():
            self._end_other()
        self._resume()

    def _resume(self) -> None:
        if self.transport is not None and not self.transport.is_closing() and not self.transport.is_reading():
            self.regulate()

    def _end_other(self) -> None:
        if not self._late and self.other is not None and self.other.transport is not None:
            self.other.transport.close()
