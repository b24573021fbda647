"""Who listens to what: collection -> set of sessions, and the one place where a revision becomes a fan-out.

The law: the broker knows a collection at most once per node, from its first local subscriber on; a client's subscribe
is acknowledged only after the broker confirmed. A revision is encoded once, to one frame, for all its subscribers.

    (none) --first subscribe--> CONFIRMING --confirmed--> LIVE --two sweeps without sessions--> (none)
                                    \\--failed: everyone refused--> (none)

A collection without sessions lingers for one to two sweeps, because after a mass disconnect its clients come back.
While a node takes over from another (`handover`), it remembers what comes, and sends a client that subscribes what it
missed since the position noted for it. With a keeper, a channel remembers its last messages, from the broker's log when
it becomes live: `resume` adds a session to its rooms and sends it what it missed, in one step and in the order of
offsets: nothing comes between.
The revision told in an ack is the latest one this node has seen, 0 if it saw none. During an outage of the broker a
live collection stays live: the broker subscribes again by itself, what was published meanwhile is lost (at most once).
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from reference_gateway import wire
from reference_gateway.broker import Broker, BrokerError
from reference_gateway.broker.log import Keeper

from . import packets
from .framing import text_frame
from .measures import Measures
from .writer import Writable, Writer

log = logging.getLogger(__name__)


class Kept(NamedTuple):
    """A message that may have to be sent again."""

    offset: int
    frame: bytes


class Channel:
    """One collection on this node. `waiting` holds the acks owed while the broker has not confirmed, else None."""

    __slots__ = ("alone", "confirming", "held", "idle", "log", "name", "revision", "sessions", "waiting")

    def __init__(self, name: str, kept: int = 0) -> None:
        self.name = name
        self.log: deque[Kept] = deque(maxlen=kept)
        self.confirming: asyncio.Task[None] | None = None
        self.held: deque[bytes] | None = None  # what has to wait for what was missed in an outage of the broker
        self.revision = 0
        self.sessions: set[Subscriber] = set()
        self.waiting: list[tuple[Subscriber, str | None]] | None = []
        self.idle = False
        self.alone = (self,)  # `channels` of everyone who subscribes to this one only: shared, so it costs them nothing


class _Message(NamedTuple):
    """A message of the broker, encoded; `kept` is set where it has an offset."""

    revision: int
    frame: bytes
    kept: Kept | None


class Subscriber(Writable, Protocol):
    """What the hub knows of a session; sets of them compare by identity."""

    channels: tuple[Channel, ...]
    client: str

    def answer(self, ack: str | None, argument: object) -> None:
        """Send an ack if one was asked for and the session still lives."""

    def accept(self, ack: str | None, revision: int) -> None:
        """Send the ack of `wire.accepted(revision)`, likewise."""


class Hub:
    """Subscriptions of one node.

    Args:
        confirm_s: how long the broker may take to confirm before the subscribers are refused.
        max_subscriptions: per session.
        keeper: the log that messages are kept in; None keeps none, and messages have no offsets.
        kept: messages remembered of each channel.
    """

    def __init__(
        self,
        broker: Broker,
        writer: Writer,
        measures: Measures,
        confirm_s: float,
        max_subscriptions: int,
        *,
        keeper: Keeper | None = None,
        kept: int = 0,
    ) -> None:
        self._keeper = keeper
        self._kept = kept if keeper is not None else 0
        self._broker = broker
        self._writer = writer
        self._measures = measures
        self._confirm_s = confirm_s
        self._max_subscriptions = max_subscriptions
        self._channels: dict[str, Channel] = {}
        self.positions: dict[str, dict[str, int]] = {}  # how far clients had got elsewhere, by client and collection
        self._remembering = False
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
                channel = self._begin(collection)
            self._add(session, channel)
        if channel.waiting is None:
            self._accept(session, channel, ack)
        else:
            channel.waiting.append((session, ack))

    def _accept(self, session: Subscriber, channel: Channel, ack: str | None) -> None:
        """Say yes, and send what has come since the position noted for this client, if one was."""
        session.accept(ack, channel.revision)
        if self.positions and channel.name in (noted := self.positions.get(session.client, {})):
            since = noted.pop(channel.name)
            if not noted:
                del self.positions[session.client]
            missed = [kept for kept in channel.log if kept.offset > since]
            for kept in missed:
                self._writer.send(session, kept.frame)
            self._measures.messages_replayed += len(missed)

    def collections(self) -> list[str]:
        """Return what this node listens to."""
        return list(self._channels)

    def remember(self, kept: int) -> None:
        """Remember the last `kept` messages of each channel, from now on; without effect where that is done anyway."""
        if self._keeper is None and not self._remembering:
            self._remembering, self._kept = True, kept
            for channel in self._channels.values():
                channel.log = deque(maxlen=kept)

    def forget(self) -> None:
        """Remember no more, nor any position."""
        self.positions.clear()
        if self._remembering:
            self._remembering, self._kept = False, 0
            for channel in self._channels.values():
                channel.log = deque(maxlen=0)

    async def sent(self) -> None:
        """Return when every message so far has been written to all its subscribers."""
        while self._writer.busy:
            await asyncio.sleep(0)

    async def live(self, collection: str) -> bool:
        """Wait until `collection` is live on this node; return whether it is."""
        channel = self._channels.get(collection) or self._begin(collection)
        if channel.waiting is not None and channel.confirming is not None:
            await asyncio.shield(channel.confirming)
        return channel.waiting is None and self._channels.get(collection) is channel

    def resume(self, session: Subscriber, collections: Iterable[str], since: int) -> int:
        """Add `session` to those `collections` that are live, and send what it missed; return how many messages.

        Args:
            since: the last offset the client has.
        """
        missed: list[Kept] = []
        for collection in collections:
            channel = self._channels.get(collection)
            if channel is not None and channel.waiting is None and channel not in session.channels:
                self._add(session, channel)
                missed += [kept for kept in channel.log if kept.offset > since]
        for kept in sorted(missed):
            self._writer.send(session, kept.frame)
        self._measures.messages_replayed += len(missed)
        return len(missed)

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
            if channel.sessions or channel.waiting is not None or self._remembering:
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
        if channel.held is not None:
            channel.held.append(data)
            return
        message = self._read(name, data)
        if message is None:
            return
        channel.revision = max(channel.revision, message.revision)
        if message.kept is not None:
            if self._keeper is not None and channel.log and message.kept.offset <= channel.log[-1].offset:
                return  # published twice, or read from the log meanwhile
            channel.log.append(message.kept)
        if channel.sessions:
            self._writer.broadcast(channel.sessions, message.frame)

    def _read(self, name: str, data: bytes) -> _Message | None:
        """Encode a message of the broker as a frame for clients; None, counted, if it is not what the schema says."""
        try:
            text = data.decode()
            fields = json.loads(text)
            revision, offset = fields["revision"], fields.pop("offset", None)
            if not isinstance(revision, int):
                raise TypeError("'revision' is not a number")
            if offset is not None:  # the log's, not the application's: clients get it as an argument of its own
                text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
            if not self._kept or offset is None:
                frame = text_frame(packets.event_text(wire.REVISION, text))
                return _Message(revision, frame, Kept(revision, frame) if self._remembering else None)
            frame = text_frame(packets.event_text(wire.REVISION, f'{text},"{int(offset)}"'))
            return _Message(revision, frame, Kept(int(offset), frame))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            self._measures.broker_faults += 1
            log.warning("malformed revision on %s: %s", name, error)
            return None

    def interrupted(self) -> None:
        """Hold back what comes from now on: what was missed has to come first (the broker's callback)."""
        if self._keeper is not None:
            for channel in self._channels.values():
                if channel.waiting is None and channel.held is None:
                    channel.held = deque(maxlen=self._kept)

    def restored(self) -> None:
        """Ask the log for what was published while the broker could not be heard (its callback)."""
        if self._keeper is not None:
            task = asyncio.get_running_loop().create_task(self._refill(self._keeper))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _refill(self, keeper: Keeper) -> None:
        for channel in tuple(self._channels.values()):
            if channel.waiting is not None:
                continue
            name = wire.channel_of(channel.name)
            missed: Sequence[bytes] = ()
            try:
                missed = await keeper.history(name)
            except BrokerError as error:
                log.warning("%s: what was published during the outage is not known: %s", name, error)
            held, channel.held = channel.held or (), None
            for data in (*missed, *held):
                self.receive(name, data)  # what is known already is not sent again

    def _begin(self, collection: str) -> Channel:
        channel = self._channels[collection] = Channel(collection, self._kept)
        task = channel.confirming = asyncio.get_running_loop().create_task(self._confirm(channel))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return channel

    @staticmethod
    def _add(session: Subscriber, channel: Channel) -> None:
        channel.idle = False
        channel.sessions.add(session)
        session.channels = (*session.channels, channel) if session.channels else channel.alone

    async def _fill(self, channel: Channel) -> None:
        """Put before what has come live what the broker's log has from earlier."""
        if self._keeper is None:
            return
        name = wire.channel_of(channel.name)
        old = [self._read(name, data) for data in await self._keeper.history(name)]
        fresh = list(channel.log)
        first = fresh[0].offset if fresh else None
        channel.log.clear()
        for message in old:
            if message is None or message.kept is None:
                continue
            channel.revision = max(channel.revision, message.revision)
            offset = message.kept.offset
            if (first is None or offset < first) and (not channel.log or offset > channel.log[-1].offset):
                channel.log.append(message.kept)
        channel.log.extend(fresh)

    async def _confirm(self, channel: Channel) -> None:
        error = None
        try:
            async with asyncio.timeout(self._confirm_s):
                await self._broker.subscribe(wire.channel_of(channel.name), self.receive)
                await self._fill(channel)
        except (TimeoutError, BrokerError) as failure:
            error = f"cannot subscribe now: {failure or 'the broker does not answer'}"
            log.warning("collection %s: %s", channel.name, error)
            del self._channels[channel.name]
            self._broker.unsubscribe(wire.channel_of(channel.name))
        waiting, channel.waiting, channel.confirming = channel.waiting or [], None, None
        for session, ack in waiting:
            if error is not None:
                self._remove(session, channel)
                session.answer(ack, wire.refused(error))
            elif channel in session.channels:
                session.accept(ack, channel.revision)
            else:
                session.answer(ack, wire.refused("unsubscribed meanwhile"))

    @staticmethod
    def _remove(session: Subscriber, channel: Channel) -> None:
        channel.sessions.discard(session)
        left = tuple(other for other in session.channels if other is not channel)
        session.channels = left[0].alone if len(left) == 1 else left
