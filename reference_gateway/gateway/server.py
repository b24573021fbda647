"""A node: everything of one gateway process put together, and its life from listening to drained.

    listen -> [accept -> upgrade -> sessions ...] -> SIGTERM -> stop accepting -> close 1001, paced -> gone

The law: one event loop, one timer; a process has one node, or one in each of its descriptor tables (`tables`). The node
is the only one who knows all the parts; sessions reach the others through it. SIGKILL is safe at any moment: nothing
here is kept anywhere else.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import cast

from reference_gateway import wire
from reference_gateway.broker import Broker
from reference_gateway.broker.log import Keeper
from reference_gateway.broker.registry import open_registry
from reference_gateway.gate import Gatehouse
from reference_gateway.relocation import PATH as LEAVE_PATH

from . import handshake, leave, pages
from .admission import open_admission
from .drain import read_order
from .framing import FrameReader
from .handover import Handover
from .heartbeat import open_heartbeat
from .hideout import Hideout
from .hub import Hub, Subscriber
from .load import Load
from .measures import Measures
from .names import Names
from .phrases import Phrases
from .polling import Polling
from .recovery import Recovery
from .rounds import spare_kernel, work_in_rounds
from .session import JOINED, OPEN, Session
from .settings import Settings
from .tables import Table, Tables
from .tokens import Tokens
from .upstream import open_upstream
from .welcome import Welcome
from .writer import Writer

log = logging.getLogger(__name__)

_SWEEP_S = 5.0
_HTTP_SPARE = 128  # connections beyond the limit, so that health checks and refusals get through to a full node
_DOORS = 8  # of a node that rests: libuv accepts one connection a look and listener, so one listener has several
_LAST_WAIT_S = 0.8  # after the last close frame, for the clients to read it and close


class Node:
    """One gateway node. Create it inside the event loop; then `listen`, and at the end `drain` and `close`."""

    def __init__(self, settings: Settings, broker: Broker, table: Table | None = None) -> None:
        loop = asyncio.get_running_loop()
        self.settings = settings
        self.broker = broker
        self.whole = [self]  # with those in the other tables, when they listen
        self._table = table or Tables(1).first
        self.measures = Measures()
        self.names = Names()
        self.phrases = Phrases()
        self._upgrades = handshake.Upgrades()
        self._welcome = Welcome(settings)
        self.frames = FrameReader(settings.max_message_bytes)
        self.heartbeat = open_heartbeat(settings)
        self.writer = Writer(self.measures, loop.call_soon)
        keeper = cast(Keeper, broker) if settings.session_key else None
        self.hub = Hub(
            broker,
            self.writer,
            self.measures,
            settings.subscribe_timeout_s,
            settings.max_subscriptions,
            keeper=keeper,
            kept=settings.log_kept,
        )
        self.recovery: Recovery | None = None
        self.registry = open_registry(broker, settings.node, self._clients) if keeper is not None else None
        if keeper is not None:
            tokens = Tokens(settings.session_key.encode(), settings.session_lifetime_s)
            self.recovery = Recovery(tokens, self.hub, keeper, self.measures, settings.subscribe_timeout_s)
        self.handover = Handover(settings.node, broker, self.hub) if settings.handover else None
        self.upstream = open_upstream(settings, self.measures)
        self.polling = Polling(self)
        self.admission = open_admission(settings)
        self.load = Load(settings.budget, settings.load_metric)
        self.draining = False
        self._goodbye = self.farewell
        self.was_healthy = False
        self._rng = random.Random()
        self.sockets = 0  # TCP connections, health checks and handshakes included; and sessions that poll
        self.connections = 0  # sessions that are not closing, WebSocket or polling
        self._gone = asyncio.Event()
        self._seen = 0  # connections at the last look, in rounds
        self._hideout = Hideout(crowded=settings.rest_s > 0)
        self._loop = loop
        self._servers: list[asyncio.Server] = []
        self._leaving: set[asyncio.Task[None]] = set()
        self._sweep_at_s = loop.time() + _SWEEP_S
        self._tick_at_s = loop.time() + self.heartbeat.tick_s
        self._timer: asyncio.Handle = loop.call_at(self._tick_at_s, self._tick)

    async def listen(self) -> int:
        """Accept connections from now on; return the port.

        Raises:
            OSError: the address cannot be bound.
        """
        settings = self.settings
        # Bound here: given a host, the loop would resolve it in four threads, which cost 2 MB that a fork shares.
        listener = socket.create_server(
            (settings.host, settings.port),
            family=socket.AF_INET6 if ":" in settings.host else socket.AF_INET,
            backlog=settings.backlog,
            reuse_port=settings.reuse_port,
        )
        listener.setblocking(False)
        protocol = self._door()
        doors = [listener, *(listener.dup() for _ in range(_DOORS - 1) if settings.rest_s)]
        for door in doors:
            server = await self._loop.create_server(protocol, sock=door, backlog=settings.backlog)
            self._servers.append(server)
        if settings.rest_s:
            spare_kernel(listener)
            work_in_rounds(self._loop, settings.rest_s, self._has_more, self._table.waited_s, self._table.rest)
        if self.handover is not None:
            self.handover.open()
        port: int = listener.getsockname()[1]
        return port

    def _has_more(self) -> bool:
        """Whether as many have come since the last call as one look can take in, or a broadcast is not over."""
        came, self._seen = self.measures.accepted - self._seen, self.measures.accepted
        return came >= _DOORS or self.writer.busy

    def _door(self) -> Callable[[], asyncio.Protocol]:
        """Return what makes the protocol of a new connection: a session, behind the gate if there is one."""
        if not self.settings.capacity.per_s:
            return partial(Session, self)
        house = Gatehouse(self.settings.capacity, lambda: self.connections, refuse=self._refusal)
        return lambda: house.gate(partial(Session, self))

    async def drain(self) -> None:
        """Accept no more, tell every client to go at the pace of this drain, and wait a moment for them to leave.

        A node in rounds that may drop them all at once leaves that to `hang_up`.
        """
        self.draining = True
        for server in self._servers:
            server.close()
        sessions = list(self.heartbeat)
        order = read_order(self.settings.drain_file)
        over_s = order.over_s(self.settings, len(sessions))
        self._goodbye = partial(order.farewell, self.farewell, self._rng)
        if self.settings.rest_s and not over_s:
            return
        log.info("draining %d connections over %g s", len(sessions), over_s)
        before = self.handover.let_go if self.handover is not None and await self.handover.begin() else None
        await leave.pace(
            [cast(Session, one) for one in sessions],
            over_s,
            lambda session: session.close(self._goodbye()),
            before,
        )
        del sessions
        try:
            async with asyncio.timeout(_LAST_WAIT_S):
                while self.sockets:
                    self._gone.clear()
                    await self._gone.wait()
        except TimeoutError:
            log.info("%d connections were cut", self.sockets)
        await self.upstream.settle()

    def hang_up(self) -> None:
        """End who is left, if anybody. Call last: the loop must not run again."""
        leave.hang_up((cast(Session, session).transport for session in self.heartbeat), self._goodbye)

    def _relocate(self, request: handshake.Request) -> bytes:
        """Send away those whom an order of the stack names, from now on; return the answer to it."""
        order = leave.read_relocation(request, self.settings.order_token)
        sessions = [cast(Session, one) for one in self.heartbeat]
        clients = [session.client if session.state is JOINED else "" for session in sessions]
        leaving = [sessions[place] for place in order.choose(self.settings.version, clients)]
        own_s = len(leaving) / self.settings.drain_per_s if self.settings.drain_per_s else 0.0
        task = self._loop.create_task(
            leave.pace(leaving, order.over_s or own_s, lambda session: session.close(self.farewell()))
        )
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
        return leave.answer(len(leaving))

    def farewell(self) -> wire.CloseCode:
        """Return what to close a client with that may come back: with a slot, if this node hands them out."""
        if self.admission is None or self.admission.slots is None:
            return wire.GOING_AWAY
        return wire.come_back(self.admission.slots.take(self._loop.time()))

    async def close(self) -> None:
        """End the timer, the hub, the upstream and the broker."""
        self._timer.cancel()
        self.load.close()
        for task in self._leaving:
            task.cancel()
        await asyncio.gather(*self._leaving, return_exceptions=True)
        if self.recovery is not None:
            await self.recovery.close()
        if self.registry is not None:
            await self.registry.close()
        if self.handover is not None:
            await self.handover.close()
        await self.hub.close()
        await self.upstream.close()
        await self.broker.close()

    # ---- sessions call

    def accepted(self, session: Session) -> None:
        """Count a new TCP connection, bound it and watch its handshake."""
        self.sockets += 1
        self.measures.accepted += 1
        if self.sockets > self.settings.max_connections + _HTTP_SPARE:
            self.measures.rejected["sockets"] += 1
            session.transport.abort()
            return
        session.transport.set_write_buffer_limits(high=self.settings.queue_bytes)
        self.heartbeat.opening(session)

    def joined(self, session: Session, client: str) -> None:
        """Note that a session is in a namespace, under the name of `client` there."""
        if self.admission is not None:
            self.admission.leave(session)
        if self.registry is not None:
            self.registry.enter(client)

    def parted(self, speaker: Subscriber, client: str) -> None:
        """Note that it is there no more."""
        self.hub.leave(speaker)
        if self.registry is not None:
            self.registry.leave(client)

    def left(self, session: Session) -> None:
        """Forget a WebSocket that is closing or gone."""
        if self.settings.client_bytes:
            self.load.let_go(session)
        if self.admission is not None:
            self.admission.leave(session)
        self.heartbeat.leave(session)
        self.connections -= 1

    def lost(self) -> None:
        """Count a TCP connection that is gone."""
        self.sockets -= 1
        if not self.sockets:
            self._gone.set()

    def new_session(self) -> Session:
        """Make a session that has no connection of its own; it is bounded and watched as one."""
        self.sockets += 1
        self.measures.polling_opened += 1
        session = Session(self)
        self.heartbeat.opening(session)
        return session

    def take_back(self, transport: asyncio.Transport) -> Session:
        """Make a session for a connection that has been one's before, with its next request to come."""
        session = Session(self)
        session.transport = transport
        self.heartbeat.opening(session)
        return session

    def upgraded(self) -> None:
        """Note that a session without a connection has got one, which was counted when it came."""
        self.measures.upgrades += 1
        self.lost()

    def welcome(self, session: Session, data: bytes) -> bool:
        """Let in whose whole `data` is a known head, as nearly all are; return False to have `request` consider it."""
        if self.admission is not None or self.draining or self.connections >= self.settings.max_connections:
            return False
        token = self._upgrades.known(data)
        if token is None:
            return False
        self._switch(session, token)
        return True

    def request(self, session: Session, head: bytes, rest: bytes) -> bool:
        """Answer a request head; return whether the connection is a WebSocket of a new session now.

        Args:
            rest: what came behind the head.
        """
        if not self.settings.capacity.per_s and handshake.is_knock(head):  # else the gate has asked
            refusal = self._refusal()
            if refusal is not None:
                session.finish(refusal)
                return False
        try:
            token = self._upgrades.known(head)
            if token is not None:
                self.check_room()
                self._switch(session, token)
                return True
            request = handshake.parse(head)
            if request.path == b"/healthz":
                session.finish(pages.health(self))
                return False
            if request.path == b"/metrics":
                session.finish(pages.metrics(self))
                return False
            if request.path == LEAVE_PATH.encode() and self.settings.order_token:
                session.finish(self._relocate(request))
                return False
            if handshake.is_polling(request):
                self.polling.adopt(session, head + rest)
                return False
            token = handshake.accept(request, self.polling)
            sid = request.query.get(b"sid")
            if sid:
                self.polling.upgrade(session, handshake.switch(token), sid, rest)
                return False
            self._upgrades.learn(head)
            self.check_room()
        except handshake.Refusal as refusal:
            self.measures.rejected[refusal.reason] += 1
            session.finish(handshake.refusal_response(refusal))
            return False
        self._switch(session, token)
        return True

    def _switch(self, session: Session, token: bytes) -> None:
        """Make a WebSocket of the connection: the 101 and the OPEN packet in one write."""
        session.transport.write(self._welcome.to(token, self.names.take()))
        self.open(session)

    def open(self, session: Session) -> None:
        """Take in a session whose Engine.IO handshake is done."""
        settings = self.settings
        session.state = OPEN
        if settings.lifetime_s:
            session.turns = max(1, round(settings.lifetime_s * (0.5 + self._rng.random()) / settings.ping_interval_s))
        if settings.client_bytes:
            self.load.keep(session, settings.client_bytes)
        self.connections += 1
        if self.admission is not None:
            self.admission.enter(session)
        self.measures.sessions_opened += 1
        self.heartbeat.enter(session)

    def head_too_big(self, session: Session) -> None:
        """Answer a request head over the bound."""
        self.measures.rejected["head_too_big"] += 1
        session.finish(handshake.response("431 Request Header Fields Too Large", b""))

    # ---- inside

    def _refusal(self, waiting: int = 0) -> bytes | None:
        """Return the answer for a client that may not come in now, beside `waiting` at the gate; None lets it in."""
        if self.admission is None:
            return None
        refusal = self.admission.knock(self._loop.time(), waiting)
        if refusal is not None:
            self.measures.rejected["admission"] += 1
        return refusal

    def check_room(self) -> None:
        """Raise `Refusal` if no session may come in, whoever asks."""
        if self.draining:
            raise handshake.Refusal("503 Service Unavailable", "draining", b"draining\n", "Retry-After: 1\r\n")
        if self.connections >= self.settings.max_connections:
            raise handshake.Refusal("503 Service Unavailable", "full", b"this node is full\n", "Retry-After: 1\r\n")

    def _clients(self) -> Iterator[str]:
        """Yield the name of each client, once for each namespace it is in."""
        for one in self.heartbeat:
            session = cast(Session, one)
            if session.joined:
                yield session.client
            if session.aside is not None:
                yield from (member.client for member in session.aside.members.values() if member.joined)

    def _tick(self) -> None:
        now_s = self._loop.time()
        # Kept here, not asked of the timer: uvloop gives a handle without a time when the time is now.
        self._tick_at_s = max(self._tick_at_s + self.heartbeat.tick_s, now_s)
        self._timer = self._loop.call_at(self._tick_at_s, self._tick)
        self.heartbeat.tick()
        self._hideout.tick(self.measures.accepted)
        if now_s >= self._sweep_at_s:
            self._sweep_at_s = now_s + _SWEEP_S
            self.hub.sweep()
