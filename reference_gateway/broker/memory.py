"""A broker inside one process: for a single node, and for tests. The smallest thing that keeps the contract."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict, deque

from .contract import BrokerError, Callback

log = logging.getLogger(__name__)


class MemoryBroker:
    """Deliver on the next turn of the event loop, in the order of publishing.

    Args:
        kept: messages kept of each channel; 0 = none.
    """

    def __init__(self, kept: int = 0) -> None:
        self._logs: defaultdict[str, deque[bytes]] = defaultdict(lambda: deque(maxlen=kept))
        self._rooms: defaultdict[str, set[str]] = defaultdict(set)
        self._callbacks: dict[str, Callback] = {}
        self._closed = False
        self.callback_errors = 0

    @property
    def healthy(self) -> bool:
        """True until closed."""
        return not self._closed

    async def publish(self, channel: str, data: bytes) -> None:
        """Queue `data` for the next loop turn."""
        self._check_open()
        self._logs[channel].append(data)
        asyncio.get_running_loop().call_soon(self._deliver, channel, data)

    async def subscribe(self, channel: str, callback: Callback) -> None:
        """Subscribe; holds at once."""
        self._check_open()
        if channel in self._callbacks:
            raise BrokerError(f"already subscribed to {channel!r}")
        self._callbacks[channel] = callback

    def unsubscribe(self, channel: str) -> None:
        """Stop at once: what is queued is dropped too."""
        self._callbacks.pop(channel, None)

    async def history(self, channel: str) -> list[bytes]:
        """Return what is kept of `channel`."""
        self._check_open()
        return list(self._logs[channel])

    def enter_room(self, session: str, room: str) -> None:
        """Remember a room."""
        self._rooms[session].add(room)

    def leave_room(self, session: str, room: str) -> None:
        """Forget a room."""
        self._rooms[session].discard(room)

    async def rooms(self, session: str) -> list[str]:
        """Return the rooms of a session."""
        self._check_open()
        return sorted(self._rooms.get(session, ()))

    async def close(self) -> None:
        """Drop every subscription."""
        self._closed = True
        self._callbacks.clear()

    def _deliver(self, channel: str, data: bytes) -> None:
        callback = self._callbacks.get(channel)
        if callback is None:
            return
        try:
            callback(channel, data)
        except Exception:  # law 5: a subscriber's fault must not stop the others
            self.callback_errors += 1
            log.exception("a subscriber of %s failed", channel)

    def _check_open(self) -> None:
        if self._closed:
            raise BrokerError("the broker is closed")
