"""Everything a node sends, through one place: counted, and bounded per connection.

The law: a connection's outgoing queue is its transport's write buffer, bounded by the transport's high-water mark
(`queue_bytes`, behind the kernel's own buffer). The transport calls `pause_writing` when a write passes the mark: that
connection is a slow consumer and is closed with 4008 at the end of this loop turn (not inside a broadcast that is
iterating). Nobody waits for a slow reader, and checking costs the fast ones nothing.

A broadcast to many goes out in slices, one per loop turn, so that accepting, health checks and the heartbeat go on.
Broadcasts leave in the order they came, all through one queue: no collection's messages overtake each other.

A slow reader that catches up within the close grace reads all that was queued, then 4008; one that does not is cut off.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator
from itertools import islice
from typing import Final, Protocol

from .measures import Measures

SLICE: Final = 1000  # frames written in one turn of the loop: about 8 ms


class Wire(Protocol):
    """The sending side of a transport."""

    def write(self, data: bytes, /) -> None:
        """Send or queue."""


class Writable(Protocol):
    """What the writer knows of a connection."""

    @property
    def transport(self) -> Wire:
        """Where its bytes go."""

    def drop_slow(self) -> None:
        """Close it: it does not read."""


class Writer:
    """Send frames; drop those who do not read them.

    Args:
        later: runs a function soon, after the current one (`loop.call_soon`).
    """

    def __init__(self, measures: Measures, later: Callable[[Callable[[], None]], object]) -> None:
        self._measures = measures
        self._later = later
        self._slow: list[Writable] = []
        self._queue: deque[tuple[Iterator[Writable], bytes, Collection[Writable]]] = deque()

    @property
    def busy(self) -> bool:
        """Whether a broadcast has not reached everybody yet."""
        return bool(self._queue)

    def send(self, session: Writable, frame: bytes) -> None:
        """Send one message to one connection."""
        session.transport.write(frame)
        self._measures.messages_out += 1
        self._measures.bytes_out += len(frame)

    def broadcast(self, sessions: Collection[Writable], frame: bytes) -> None:
        """Send the same frame to many; who leaves `sessions` before its slice is sent gets nothing.

        Cost: see `gateway/README.md`; the kernel's share dominates.
        """
        self._measures.broadcasts += 1
        if not self._queue and len(sessions) <= SLICE:
            self._write(sessions, frame)
            return
        self._queue.append((iter(tuple(sessions)), frame, sessions))
        if len(self._queue) == 1:
            self._later(self._slice)

    def _slice(self) -> None:
        """Send the next `SLICE` frames, of one broadcast or several."""
        left = SLICE
        while self._queue and left:
            readers, frame, sessions = self._queue[0]
            wanted = list(islice(readers, left))
            self._write([one for one in wanted if one in sessions], frame)
            if len(wanted) < left:
                self._queue.popleft()
            left -= len(wanted)
        if self._queue:
            self._later(self._slice)

    def _write(self, sessions: Collection[Writable], frame: bytes) -> None:
        for session in sessions:
            session.transport.write(frame)
        self._measures.messages_out += len(sessions)
        self._measures.bytes_out += len(frame) * len(sessions)

    def overflow(self, session: Writable) -> None:
        """Note a connection whose queue is full; it is dropped at the end of this loop turn."""
        if not self._slow:
            self._later(self._drop)
        self._slow.append(session)

    def _drop(self) -> None:
        slow, self._slow = self._slow, []
        for session in slow:
            session.drop_slow()
