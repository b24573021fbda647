"""One direction of one connection: bytes come in, wait for as long as the weather says, and go out in order.

    read --push(data, now)--> [(due, bytes), ...] --ready(now)--> write         `next_ns`: when to look again

Laws: nothing overtakes: a chunk is due no earlier than the one before it, so a stream stays a stream. What has come in
keeps its delay when the weather changes; a stall or a bandwidth holds from the moment it is set. No clock, no sockets.
"""

from __future__ import annotations

import random
from collections import deque

from loadtest.clock import NS_PER_S
from loadtest.relay.conditions import FINE, Weather

MOST_WAITING_BYTES = 256 * 1024
"""A lane that holds more is not read from: the sender feels it, as by a full pipe."""
SLICE_S = 0.02
"""A bandwidth is given out in slices of so much time."""


class Lane:
    """Args: seed: of the jitter."""

    __slots__ = ("_chunks", "_free_ns", "_last_due_ns", "_rng", "_seed", "waiting_bytes", "weather")

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._rng: random.Random | None = None
        self._chunks: deque[tuple[int, bytes]] = deque()
        self._last_due_ns = 0
        self._free_ns = 0
        self.weather = FINE
        self.waiting_bytes = 0

    @property
    def is_clear(self) -> bool:
        """Whether bytes may pass straight through."""
        return self.weather is FINE and not self._chunks

    @property
    def is_full(self) -> bool:
        """Whether no more should be read."""
        return self.waiting_bytes >= MOST_WAITING_BYTES or self.weather.stalled

    def push(self, data: bytes, now_ns: int) -> None:
        """Take bytes that have come."""
        wait_s = self.weather.delay_s
        if self.weather.jitter_s:
            self._rng = self._rng or random.Random(self._seed)
            wait_s += self._rng.random() * self.weather.jitter_s
        self._last_due_ns = max(self._last_due_ns, now_ns + round(wait_s * NS_PER_S))
        self._chunks.append((self._last_due_ns, data))
        self.waiting_bytes += len(data)

    def ready(self, now_ns: int) -> bytes:
        """Take the bytes that may go out now."""
        weather, chunks = self.weather, self._chunks
        if weather.stalled or not chunks or now_ns < self._free_ns:
            return b""
        most = self.waiting_bytes
        if weather.bytes_per_s:
            most = max(1, int(weather.bytes_per_s * SLICE_S))
        parts: list[bytes] = []
        size = 0
        while chunks and chunks[0][0] <= now_ns and size < most:
            due_ns, data = chunks.popleft()
            if size + len(data) > most:
                chunks.appendleft((due_ns, data[most - size :]))
                data = data[: most - size]
            parts.append(data)
            size += len(data)
        if size and weather.bytes_per_s:
            self._free_ns = now_ns + round(size / weather.bytes_per_s * NS_PER_S)
        self.waiting_bytes -= size
        return b"".join(parts)

    def put_back(self, data: bytes) -> None:
        """Take back what the receiver had no room for."""
        self._chunks.appendleft((0, data))
        self.waiting_bytes += len(data)

    def next_ns(self) -> int | None:
        """Return when `ready` may have something; None: not before the weather changes or bytes come."""
        if self.weather.stalled or not self._chunks:
            return None
        return max(self._chunks[0][0], self._free_ns)

    def change(self, weather: Weather) -> None:
        """Meet other weather from now on."""
        if not weather.bytes_per_s:
            self._free_ns = 0
        self.weather = weather
