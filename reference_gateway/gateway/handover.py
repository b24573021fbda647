"""What an ending node tells the process that takes its place: who is coming, and how far each of them had got.

    old: coming {collections} --broker--> new: listens to them, remembers what comes --ready--> old: begins to close
    old: left {client: {collection: revision}}, then the close frames ------------------------> new: notes it
                     client, back: subscribe --> new: ack, then what has come since that revision

Laws: a client is taken out of its rooms and noted in one step, before its close frame; what comes for it from then on
is the successor's to send, once. Nothing is remembered but for `MEMORY_S` after the last sign of the old process, and
never more than `KEPT` messages of a collection. Clients are known by the name they gave in CONNECT; one that gave none
comes back as after any close. A broker that is away costs the notes, never the drain.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable, Sequence
from typing import Any, Final

from reference_gateway.broker import Broker, BrokerError

from .hub import Hub, Subscriber
from .packets import new_id

log = logging.getLogger(__name__)

KEPT: Final = 256
MEMORY_S: Final = 30.0
READY_S: Final = 2.0
_CHANNEL: Final = "handover:"
_ASK_S: Final = 0.2


class Handover:
    """One node's side of handovers, first as successor, at last as predecessor. Create it inside the event loop.

    Args:
        node: its name, the same for the process before and after.
    """

    def __init__(self, node: str, broker: Broker, hub: Hub) -> None:
        self._channel = _CHANNEL + node
        self._broker = broker
        self._hub = hub
        self._me = new_id()
        self._successor: asyncio.Event | None = None
        self._forgetting: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """Listen for a predecessor, from soon on."""
        self._spawn(self._broker.subscribe(self._channel, self._hear))

    async def close(self) -> None:
        """Give up what is under way."""
        if self._forgetting is not None:
            self._forgetting.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def begin(self) -> bool:
        """As predecessor: return once the successor listens to all that our clients listen to, or not (False)."""
        self._successor = asyncio.Event()
        message = {"coming": self._hub.collections()}
        try:
            async with asyncio.timeout(READY_S):
                while not self._successor.is_set():
                    await self._tell(message)
                    try:
                        async with asyncio.timeout(_ASK_S):
                            await self._successor.wait()
                    except TimeoutError:
                        continue
        except (TimeoutError, BrokerError) as error:
            log.warning("nobody takes over: %s", error or "no answer")
            return False
        return True

    async def let_go(self, sessions: Sequence[Subscriber]) -> None:
        """Take sessions out of their rooms and note how far they are; their close frames may follow."""
        await self._hub.sent()
        notes: dict[str, dict[str, int]] = {}
        for session in sessions:
            if session.client:
                notes[session.client] = {channel.name: channel.revision for channel in session.channels}
            self._hub.leave(session)
        try:
            await self._tell({"left": notes})
        except BrokerError as error:
            log.warning("%d clients go without a note: %s", len(notes), error)

    async def _tell(self, message: dict[str, Any]) -> None:
        await self._broker.publish(self._channel, json.dumps({"from": self._me, **message}).encode())

    def _hear(self, _channel: str, data: bytes) -> None:
        message = json.loads(data)
        if message["from"] == self._me:
            return
        if self._successor is not None:  # we are the one who goes: all we want to hear is that we may
            if message.get("ready") == self._me:
                self._successor.set()
            return
        if "coming" in message:
            self._remember()
            self._spawn(self._welcome(message["from"], message["coming"]))
        elif "left" in message:
            self._remember()
            self._hub.positions |= message["left"]
            fresh = {name for noted in message["left"].values() for name in noted}.difference(self._hub.collections())
            for name in fresh:  # subscribed to since we were told what is coming
                self._spawn(self._hub.live(name))

    async def _welcome(self, whom: str, collections: Iterable[str]) -> None:
        if all(await asyncio.gather(*map(self._hub.live, collections))):
            await self._tell({"ready": whom})

    def _remember(self) -> None:
        """Remember messages from now on, and for a while after the last call."""
        if self._forgetting is not None:
            self._forgetting.cancel()
        self._forgetting = asyncio.get_running_loop().call_later(MEMORY_S, self._hub.forget)
        self._hub.remember(KEPT)

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(_quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _quietly(work: Any) -> None:
    try:
        await work
    except BrokerError as error:
        log.warning("handover: %s", error)
