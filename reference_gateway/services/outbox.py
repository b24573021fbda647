"""What is to be published, kept here until the broker has it: a broker that is away for a moment costs no message.

    publish --> queue --one sender, in order--> broker --> recent, for `RECENT_S`
                  ^--------- failed: again ---------'        |
                  ^------- the primary is another one -------'   what the old one took may not have reached the new one

Law: messages leave in the order they came, and none is given up while there is room. A message may be published twice;
it carries an offset, by which the gateways know it (`broker.log`). Bounded: when `MOST` wait, `publish` refuses.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from typing import Final, NamedTuple, Protocol

from reference_gateway.broker import BrokerError

log = logging.getLogger(__name__)

MOST: Final = 50_000
RECENT_S: Final = 3.0
_AGAIN_S: Final = 0.05


class _Message(NamedTuple):
    channel: str
    data: bytes


class Redundant(Protocol):
    """A broker that may change its primary, and counts how often it did."""

    @property
    def failovers(self) -> int:
        """How often another server became the primary."""
        ...

    async def publish(self, channel: str, data: bytes) -> None:
        """Publish once. Raises `BrokerError` if that is not known to have worked."""
        ...


class Outbox:
    """Publish through `broker`, patiently. Create it inside the event loop."""

    def __init__(self, broker: Redundant) -> None:
        self._broker = broker
        self._queue: deque[_Message] = deque()
        self._recent: deque[tuple[float, _Message]] = deque()
        self._failovers = broker.failovers
        self._filled = asyncio.Event()
        self._sender = asyncio.get_running_loop().create_task(self._send(), name="outbox")
        self.resent = 0

    def __len__(self) -> int:
        """Messages that wait."""
        return len(self._queue)

    async def publish(self, channel: str, data: bytes) -> None:
        """Take a message; it is published after all that were taken before.

        Raises:
            BrokerError: too many wait already.
        """
        if len(self._queue) >= MOST:
            raise BrokerError(f"{MOST} messages wait for the broker")
        self._queue.append(_Message(channel, data))
        self._filled.set()

    async def close(self) -> None:
        """Give up what waits."""
        self._sender.cancel()
        await asyncio.gather(self._sender, return_exceptions=True)

    async def _send(self) -> None:
        while True:
            await self._filled.wait()
            self._filled.clear()
            while self._queue:
                if self._broker.failovers != self._failovers:
                    self._send_again()
                message = self._queue[0]
                try:
                    await self._broker.publish(*message)
                except BrokerError as error:
                    log.warning("%d messages wait: %s", len(self._queue), error)
                    await asyncio.sleep(_AGAIN_S)
                    continue
                self._recent.append((time.monotonic(), self._queue.popleft()))
                while self._recent[0][0] < self._recent[-1][0] - RECENT_S:
                    self._recent.popleft()

    def _send_again(self) -> None:
        """Put what the primary before this one took lately in front of the queue."""
        self._failovers = self._broker.failovers
        self.resent += len(self._recent)
        log.warning("another primary: %d messages are published again", len(self._recent))
        self._queue.extendleft(message for _, message in reversed(self._recent))
        self._recent.clear()
