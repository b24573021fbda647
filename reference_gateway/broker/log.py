"""What a broker keeps of each channel, so that who was away can be told what it missed; and who had been where.

1. A log holds the last `kept` messages of its channel, in the order of publishing, for `KEPT_S` after the last one.
2. Each message carries its offset: digits, greater than that of every message published before, on any channel. So
   one offset says what a client of many channels has, and a log is searched by comparing numbers.
3. A session's rooms are remembered until `KEPT_S` after the last change. They are a note for whoever finds the client
   next, in any node: losing them costs the client its recovery, never its connection.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

KEPT_S: Final = 3600
#: Messages kept of each channel unless told otherwise.
KEPT: Final = 1000


class Keeper(Protocol):
    """A broker that keeps a log of each channel and the rooms of each session."""

    async def history(self, channel: str) -> Sequence[bytes]:
        """Return what is kept of `channel`, oldest first. Raises `BrokerError` if it cannot be asked now."""
        ...

    def enter_room(self, session: str, room: str) -> None:
        """Remember that `session` is in `room`; done in the background, and lost if the broker is."""
        ...

    def leave_room(self, session: str, room: str) -> None:
        """Forget it; as `enter_room`."""
        ...

    async def rooms(self, session: str) -> Sequence[str]:
        """Return the rooms of `session`, none if it is not known. Raises `BrokerError` if it cannot be asked now."""
        ...


class Offsets:
    """Offsets of one publisher: microseconds since 1970, or one more than the last where the clock does not move.

    Args:
        clock_ns: nanoseconds since 1970; one that is set back is waited for by counting on.
    """

    def __init__(self, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._clock_ns = clock_ns
        self._last = 0

    def next(self) -> int:
        """Return an offset greater than all before."""
        self._last = max(self._last + 1, self._clock_ns() // 1000)
        return self._last
