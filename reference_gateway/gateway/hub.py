"""Who listens to what: collection -> set of sessions, and the one place where a revision becomes a fan-out.

The law: the broker knows a collection at most once per node, from its first local subscriber on; a client's subscribe
is acknowledged only after the broker confirmed. A revision is encoded once, to one frame, for all its subscribers.

    (none) --first subscribe--> CONFIRMING --confirmed--> LIVE --two sweeps without sessions--> (none)
                                    \\--failed: everyone refused--> (none)

A collection without sessions lingers for one to two sweeps, because after a mass disconnect its clients come back.
The revision told in an ack is the latest one this node has seen, 0 if it saw none. During an outage of the broker a
live collection stays live: the broker subscribes again by itself, what was published meanwhile is lost (at most once).
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Protocol

from reference_gateway import wire
from reference_gateway.broker import Broker, BrokerError

from . import packets
from .framing import text_frame
from .measures import Measures
from .writer import Writable, Writer

log = logging.getLogger(__name__)


class Channel:
    """One collection on this node. `waiting` holds the acks owed while the broker has not confirmed, else None."""

    __slots__ = ("alone", "idle", "name", "revision", "sessions", "waiting")

    def __init__(self, name: str) -> None:
        self.name = name
        self.revision = 0
        self.sessions: set[Subscriber] = set()
        self.waiting: list[tuple[Subscriber, str | None]] | None = []
        self.idle = False
        self.alone = (self,)  # `channels` of everyone who subscribes to this one only: shared, so it costs them nothing


class Subscriber(Writable, Protocol):
    """What the hub knows of a session; sets of them compare by identity."""

    channels: tuple[Channel, ...]

    def answer(self, ack: str | None, argument: object) -> None:
        """Send an ack if one was asked for and the session still lives."""


class Hub:
    """Subscriptions of one node.

    Args:
        confirm_s: how long the broker may take to confirm before the subscribers are refused.
        max_subscriptions: per session.
    """

    def __init__(
        self, broker: Broker, writer: Writer, measures: Measures, confirm_s: float, max_subscriptions: int
    ) -> None:
        self._broker = broker
        self._writer = writer
        self._measures = measures
        self._confirm_s = confirm_s
        self._max_subscriptions = max_subscriptions
        self._channels: dict[str, Channel] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._channels)

    def subscribe(self, session: Subscriber, collection: str, ack: str | None) -> None:
        """Add `session` and answer it, now or when the broker confirmed."""
        channel = self._channels.get(collection)
        if channel is not None and channel in session.channels:
            pass
        elif len(session.channels) >= self._max_subscriptions:
            session.answer(ack, wire.refused(f"at most {self._max_subscriptions} subscriptions per client"))
            return
        else:
            if channel is None:
                channel = self._channels[collection] = Channel(collection)
                task = asyncio.get_running_loop().create_task(self._confirm(channel))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            channel.idle = False
            channel.sessions.add(session)
            session.channels = (*session.channels, channel) if session.channels else channel.alone
        if channel.waiting is None:
            session.answer(ack, wire.accepted(channel.revision))
        else:
            channel.waiting.append((session, ack))

    def unsubscribe(self, session: Subscriber, collection: str) -> int:
        """Remove `session`, subscribed or not; return the latest revision known."""
        channel = self._channels.get(collection)
        if channel is None:
            return 0
        self._remove(session, channel)
        return channel.revision

    def leave(self, session: Subscriber) -> None:
        """Remove `session` from everything."""
        for channel in session.channels:
            channel.sessions.discard(session)
        session.channels = ()

    def sweep(self) -> None:
        """Let go of collections that nobody has listened to since the last sweep. Call it every few seconds."""
        for channel in tuple(self._channels.values()):
            if channel.sessions or channel.waiting is not None:
                continue
            if channel.idle:
                del self._channels[channel.name]
                self._broker.unsubscribe(wire.channel_of(channel.name))
            channel.idle = True

    async def close(self) -> None:
        """Stop waiting for confirmations."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def receive(self, name: str, data: bytes) -> None:
        """Fan a message of the broker out to the collection's sessions (the broker's callback).

        Cost: about 10 us plus the writes.
        """
        channel = self._channels.get(name.removeprefix(wire.CHANNEL_PREFIX))
        if channel is None:
            return
        try:
            text = data.decode()
            revision = json.loads(text)["revision"]
            if not isinstance(revision, int):
                raise TypeError("'revision' is not a number")
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            self._measures.broker_faults += 1
            log.warning("malformed revision on %s: %s", name, error)
            return
        channel.revision = max(channel.revision, revision)
        if channel.sessions:
            self._writer.broadcast(channel.sessions, text_frame(packets.event_text(wire.REVISION, text)))

    async def _confirm(self, channel: Channel) -> None:
        error = None
        try:
            async with asyncio.timeout(self._confirm_s):
                await self._broker.subscribe(wire.channel_of(channel.name), self.receive)
        except (TimeoutError, BrokerError) as failure:
            error = f"cannot subscribe now: {failure or 'the broker does not answer'}"
            log.warning("collection %s: %s", channel.name, error)
            del self._channels[channel.name]
        waiting, channel.waiting = channel.waiting or [], None
        for session, ack in waiting:
            if error is not None:
                self._remove(session, channel)
                session.answer(ack, wire.refused(error))
            elif channel in session.channels:
                session.answer(ack, wire.accepted(channel.revision))
            else:
                session.answer(ack, wire.refused("unsubscribed meanwhile"))

    @staticmethod
    def _remove(session: Subscriber, channel: Channel) -> None:
        channel.sessions.discard(session)
        left = tuple(other for other in session.channels if other is not channel)
        session.channels = left[0].alone if len(left) == 1 else left
