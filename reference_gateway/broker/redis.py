"""The broker on Redis or Valkey pub/sub.

The law: one connection subscribes, one publishes (a single one, so that order holds). A supervising task owns the
subscribing connection and lives through its deaths; the table `_wanted` is the truth, the connection only a copy.

    subscribe()/unsubscribe() -> _wanted, _orders --writer task--> SUBSCRIBE c1 c2 ...   (a storm becomes few commands)
    callback <-- _wanted[channel] <--reader task-- message | subscribe | pong

A PING every `alive_s` on the subscribing connection finds a frozen server: after three unanswered the connection is
given up; where there is another server, that one is listened to next (`servers`). The first PONG comes behind the
confirmations of all SUBSCRIBEs, so it is what makes the broker healthy.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable
from typing import Any

from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from .contract import BrokerError, Callback
from .log import KEPT, KEPT_S
from .servers import Servers

log = logging.getLogger(__name__)

_UNANSWERED = 3
_LOG, _ROOMS = "log:", "rooms:"
_KEEP = """
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*', 'd', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[4])
return redis.call('PUBLISH', ARGV[1], ARGV[2])
"""
_NOTE = """
for at = 2, #ARGV, 3 do
  redis.call(ARGV[at], ARGV[at + 1], ARGV[at + 2])
  redis.call('EXPIRE', ARGV[at + 1], ARGV[1])
end
"""
_MOST_NOTES = 100_000
_AGAIN_S = 0.2
_BATCH = 500  # channels per command: a storm's worth in one round trip, without blocking the server for long


class RedisBroker:
    """Publish and subscribe through a Redis-protocol server; keeps every law of `contract`.

    Args:
        url: `redis://`, `rediss://` or `unix://`, user and password included; two, with a space between: primary and
            replica, see `servers`.
        alive_s: seconds between PINGs; a server that answers none of three counts as lost.
        retry_cap_s: longest wait between attempts to connect (jittered exponential from 50 ms).
        kept: messages kept of each channel in a stream (`log.Keeper`); 0 = publish only.
        promotes: whether this is the one writer of messages, who makes the replica the primary if it must.
        rng: source of the jitter; a seeded one makes tests repeatable.
    """

    def __init__(
        self,
        url: str,
        *,
        alive_s: float = 2.0,
        retry_cap_s: float = 1.0,
        kept: int = 0,
        promotes: bool = False,
        rng: random.Random | None = None,
    ) -> None:
        self._kept = kept
        self._notes: list[tuple[str, str, str]] = []  # rooms to enter and leave: (command, session, room)
        self._noting: asyncio.Task[None] | None = None
        self._alive_s = alive_s
        self._retry_cap_s = retry_cap_s
        self._rng = rng or random.Random()  # jitter, not a secret
        self._servers = Servers(url.split(), 3 * alive_s, promotes=promotes)
        self._wanted: dict[bytes, tuple[str, Callback]] = {}
        self._waiting: dict[bytes, asyncio.Future[None]] = {}
        self._unconfirmed: dict[bytes, int] = {}
        self._orders: deque[tuple[str, bytes]] = deque()
        self._changed = asyncio.Event()
        self._unanswered = 0  # PINGs since the server said anything
        self._healthy = False
        self._closed = False
        self.interrupted: Callable[[], None] | None = None  # called when it is heard no more
        self.restored: Callable[[], None] | None = None  # called when every subscription holds again after an outage
        self.callback_errors = 0
        self.notes_lost = 0
        self.reconnects = 0
        self._task = asyncio.get_running_loop().create_task(self._supervise(), name="broker")

    @property
    def servers(self) -> Servers:
        """Its servers, for what else is kept there."""
        return self._servers

    @property
    def failovers(self) -> int:
        """How often another server became the primary."""
        return self._servers.failovers

    @property
    def healthy(self) -> bool:
        """Whether the server answers and every subscription holds."""
        return self._healthy

    async def publish(self, channel: str, data: bytes) -> None:
        """Publish over the one publishing connection."""
        self._check_open()
        try:
            if self._kept:
                await self._publish_and_keep(channel, data)
            else:
                await self._servers.write("PUBLISH", channel, data)
        except (RedisError, OSError) as error:
            raise BrokerError(f"cannot publish: {error}") from error

    async def _publish_and_keep(self, channel: str, data: bytes) -> None:
        """Both or neither: a message that viewers saw is in the log, and the other way round.

        A script and no transaction: one command keeps its place among the others.
        """
        await self._servers.write("EVAL", _KEEP, 1, _LOG + channel, channel, data, self._kept, KEPT_S)

    async def history(self, channel: str) -> list[bytes]:
        """Return what is kept of `channel`, at most `kept` messages."""
        self._check_open()
        try:
            count = self._kept or KEPT
            newest_first = await self._servers.read("XREVRANGE", _LOG + channel, "+", "-", "COUNT", count)
        except (RedisError, OSError) as error:
            raise BrokerError(f"cannot read the log: {error}") from error
        return [fields[b"d"] for _, fields in reversed(newest_first)]

    def enter_room(self, session: str, room: str) -> None:
        """Remember a room, in the background, many at a time."""
        self._note("SADD", session, room)

    def leave_room(self, session: str, room: str) -> None:
        """Forget a room, as `enter_room`."""
        self._note("SREM", session, room)

    async def rooms(self, session: str) -> list[str]:
        """Return the rooms of a session."""
        self._check_open()
        try:
            rooms = await self._servers.read("SMEMBERS", _ROOMS + session)
        except (RedisError, OSError) as error:
            raise BrokerError(f"cannot read the rooms of a session: {error}") from error
        return sorted(room.decode() for room in rooms)

    def _note(self, command: str, session: str, room: str) -> None:
        self._notes.append((command, session, room))
        if self._noting is None and not self._closed:
            self._noting = asyncio.get_running_loop().create_task(self._write_notes(), name="broker-notes")

    async def _write_notes(self) -> None:
        """Write what has gathered, until nothing has: one round trip for all that came in a turn of the loop."""
        while self._notes:
            notes, self._notes = self._notes[:_BATCH], self._notes[_BATCH:]
            words = [word for command, session, room in notes for word in (command, _ROOMS + session, room)]
            try:
                await self._servers.write("EVAL", _NOTE, 0, KEPT_S, *words)
            except (RedisError, OSError) as error:
                if self._servers.redundant and len(self._notes) < _MOST_NOTES:
                    self._notes = notes + self._notes
                    await asyncio.sleep(_AGAIN_S)
                    continue
                self.notes_lost += len(notes)
                log.warning("the rooms of %d sessions were not noted: %s", len(notes), error)
        self._noting = None

    async def subscribe(self, channel: str, callback: Callback) -> None:
        """Subscribe and wait for the server's confirmation."""
        self._check_open()
        name = channel.encode()
        if name in self._wanted:
            raise BrokerError(f"already subscribed to {channel!r}")
        confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._wanted[name] = (channel, callback)
        self._waiting[name] = confirmed
        self._order("SUBSCRIBE", name)
        try:
            await confirmed
        except asyncio.CancelledError:
            if self._waiting.get(name) is confirmed:
                self.unsubscribe(channel)
            raise

    def unsubscribe(self, channel: str) -> None:
        """Forget the callback now; the server is told in the background."""
        name = channel.encode()
        if self._wanted.pop(name, None) is None:
            return
        waiting = self._waiting.pop(name, None)
        if waiting is not None and not waiting.done():
            waiting.set_exception(BrokerError(f"unsubscribed from {channel!r} while subscribing"))
        self._order("UNSUBSCRIBE", name)

    async def close(self) -> None:
        """End the supervising task and both connections."""
        if self._closed:
            return
        self._closed = True
        tasks = [task for task in (self._task, self._noting) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._wanted.clear()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(BrokerError("the broker was closed"))
        self._waiting.clear()
        await self._servers.close()

    def _order(self, command: str, name: bytes) -> None:
        self._orders.append((command, name))
        self._changed.set()

    def _check_open(self) -> None:
        if self._closed:
            raise BrokerError("the broker is closed")

    async def _supervise(self) -> None:
        attempt = 0
        while True:
            was_healthy = False
            try:
                await self._serve_one_connection()
            except* (RedisError, OSError, BrokerError) as errors:
                was_healthy = self._healthy
                if was_healthy or attempt == 0:
                    log.warning("broker connection lost: %s", "; ".join(str(error) for error in errors.exceptions))
            finally:
                self._healthy = False
            if self.interrupted is not None:
                self.interrupted()
            self._servers.listen_elsewhere()
            attempt = 0 if was_healthy else attempt + 1
            self.reconnects += 1
            ceiling_s = min(self._retry_cap_s, 0.05 * 2 ** min(attempt, 16))
            await asyncio.sleep(ceiling_s * (0.5 + 0.5 * self._rng.random()))

    async def _serve_one_connection(self) -> None:
        pool: Any = ConnectionPool.from_url(
            self._servers.listening_url,
            protocol=2,
            socket_timeout=None,
            socket_connect_timeout=3 * self._alive_s,
            retry=Retry(NoBackoff(), 0),
        )
        connection: Any = pool.make_connection()
        try:
            async with asyncio.timeout(3 * self._alive_s):
                await connection.connect()
            self._unconfirmed.clear()
            self._orders = deque(("SUBSCRIBE", name) for name in self._wanted)
            self._changed.set()
            self._unanswered = 0
            async with asyncio.TaskGroup() as both:
                both.create_task(self._read(connection), name="broker-reader")
                both.create_task(self._write(connection), name="broker-writer")
        finally:
            await connection.disconnect(nowait=True)

    async def _write(self, connection: Any) -> None:
        clock = asyncio.get_running_loop().time
        ping_due_s = clock()
        while True:
            while self._orders:
                command, names = self._next_batch()
                await connection.send_command(command, *names, check_health=False)
            self._changed.clear()
            if clock() >= ping_due_s:
                # Counted, not timed: a node that was too busy to read is no sign of a frozen server.
                if self._unanswered >= _UNANSWERED:
                    raise BrokerError(f"no answer to {self._unanswered} PINGs")
                await connection.send_command("PING", check_health=False)
                self._unanswered += 1
                ping_due_s = clock() + self._alive_s
            try:
                async with asyncio.timeout_at(ping_due_s):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _next_batch(self) -> tuple[str, list[bytes]]:
        """Take the longest run of one command from the front of the orders, at most `_BATCH`."""
        command = self._orders[0][0]
        names: list[bytes] = []
        while self._orders and self._orders[0][0] == command and len(names) < _BATCH:
            names.append(self._orders.popleft()[1])
        if command == "SUBSCRIBE":
            for name in names:
                self._unconfirmed[name] = self._unconfirmed.get(name, 0) + 1
        return command, names

    async def _read(self, connection: Any) -> None:
        while True:
            answer = await connection.read_response()
            self._unanswered = 0
            kind = answer[0] if isinstance(answer, list) else answer
            if kind == b"message":
                self._deliver(answer[1], answer[2])
            elif kind == b"subscribe":
                self._confirm(answer[1])
            elif kind in (b"PONG", b"pong"):
                if not self._healthy:
                    log.info("broker connected, %d subscriptions", len(self._wanted))
                    if self.reconnects and self.restored is not None:
                        self.restored()
                self._healthy = True

    def _confirm(self, name: bytes) -> None:
        left = self._unconfirmed.pop(name, 1) - 1
        if left > 0:  # the confirmation of an earlier SUBSCRIBE, undone since: the last one counts
            self._unconfirmed[name] = left
            return
        waiting = self._waiting.pop(name, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def _deliver(self, name: bytes, data: bytes) -> None:
        wanted = self._wanted.get(name)
        if wanted is None:
            return
        channel, callback = wanted
        try:
            callback(channel, data)
        except Exception:  # law 5: a subscriber's fault must not stop the others
            self.callback_errors += 1
            log.exception("a subscriber of %s failed", channel)
