"""Version `sync` beside a split version: what is edited on either side reaches the viewers of both.

    edit here ---> broker, channel of the collection <--- collections service <--- edit there
                        |
                        +--> gateways of the split version
                        +--> every node of `sync` --one at a time, in order--> room of the collection

Law: with a bridge a node hears of each revision from the broker alone, its own included, so each viewer gets it once;
without a broker nobody does. A subscribe is acknowledged only after the broker confirmed. What `sync` publishes has no
offset: session recovery does not replay it, and the broker's log does not hold it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any, Final

from reference_gateway.broker import Broker, BrokerError
from reference_gateway.wire import REVISION, channel_of

log = logging.getLogger(__name__)

CONFIRM_S: Final = 5.0
_SWEEP_S: Final = 5.0


class Bridge:
    """One node's connection to the broker that all versions share. Create it inside the event loop.

    Args:
        server: a Socket.IO server (`socketio.AsyncServer`) whose rooms are named as the broker's channels.
    """

    def __init__(self, broker: Broker, server: Any) -> None:
        self._broker = broker
        self._server = server
        self._channels: dict[str, asyncio.Task[None]] = {}
        self._heard: asyncio.Queue[tuple[str, dict[str, object]]] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._tell()), loop.create_task(self._sweep())]
        self.unpublished = 0

    async def follow(self, collection: str) -> None:
        """Hear of `collection` from now on; who subscribes has entered the room before.

        Raises:
            BrokerError: the broker did not confirm in time.
        """
        channel = channel_of(collection)
        asking = self._channels.get(channel)
        if asking is None or (asking.done() and (asking.cancelled() or asking.exception() is not None)):
            asking = self._channels[channel] = asyncio.get_running_loop().create_task(self._subscribe(channel))
        await asyncio.shield(asking)

    async def publish(self, message: dict[str, object]) -> None:
        """Tell the viewers of all versions; a broker that is away costs them this message, counted and logged."""
        data = json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode()
        try:
            await self._broker.publish(channel_of(str(message["collection"])), data)
        except BrokerError as error:
            self.unpublished += 1
            log.warning("a revision of %r is stored but not published: %s", message["collection"], error)

    async def close(self) -> None:
        """End it, and the broker."""
        tasks = [*self._tasks, *self._channels.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._broker.close()

    async def _subscribe(self, channel: str) -> None:
        try:
            async with asyncio.timeout(CONFIRM_S):
                await self._broker.subscribe(channel, self._hear)
        except TimeoutError:
            raise BrokerError("the broker does not answer") from None

    def _hear(self, channel: str, data: bytes) -> None:
        message = json.loads(data)
        message.pop("offset", None)  # the log's, not the application's
        self._heard.put_nowait((channel, message))

    async def _tell(self) -> None:
        while True:
            channel, message = await self._heard.get()
            await self._server.emit(REVISION, message, room=channel)

    async def _sweep(self) -> None:
        """Let go of collections whose room is empty."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            rooms = self._server.manager.rooms.get("/", {})
            for channel in [name for name, asking in self._channels.items() if asking.done() and name not in rooms]:
                del self._channels[channel]
                self._broker.unsubscribe(channel)
