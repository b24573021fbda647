"""A client that comes back goes on where it was: Socket.IO's connection state recovery, on any node.

    CONNECT {"pid", "offset"} --token believed--> rooms of the session (broker) --all live--> 40{"sid","pid"} as before,
        |                                                                        then what it missed, then live messages
        \\--none, expired, forged, rooms unknown or not in time--> a new session: 40{"sid","pid"} with new names

The law: a client learns from the unchanged pid that it is in its rooms again and has missed nothing that the log still
had. A client that never received a message has no offset: then what was published since its session began is replayed.
Recovery is bounded in time and in concurrency; a client that it fails for is never worse off than without.

Source: socket.io 4.6 and later, "Connection state recovery": the names pid and offset, the offset as an event's last
argument, the same sid after recovery. That tokens are signed and rooms restored from the broker is ours.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final, Protocol

from reference_gateway import wire
from reference_gateway.broker import BrokerError
from reference_gateway.broker.log import Keeper

from . import packets
from .hub import Hub, Subscriber
from .measures import Measures
from .tokens import Claims, Tokens

log = logging.getLogger(__name__)

_MAX_OFFSET_DIGITS: Final = 19
#: Recoveries under way at once on one node; whoever comes on top starts anew.
_MOST_AT_ONCE: Final = 10_000


class Returning(Subscriber, Protocol):
    """What recovery knows of a session."""

    client: str

    def join(self, sid: str, pid: str | None) -> bool:
        """Answer CONNECT; False when the connection is gone, or joined already."""


class Recovery:
    """The comings back of one node. Create it inside the event loop.

    Args:
        patience_s: how long rooms and logs may take, before the client gets a new session.
    """

    def __init__(self, tokens: Tokens, hub: Hub, keeper: Keeper, measures: Measures, patience_s: float) -> None:
        self.keeper = keeper
        self._tokens = tokens
        self._hub = hub
        self._measures = measures
        self._patience_s = patience_s
        self._tasks: dict[Returning, asyncio.Task[None]] = {}

    def connect(self, session: Returning, auth: object) -> None:
        """Answer a CONNECT, now or soon.

        Raises:
            PacketError: this client's last CONNECT is not answered yet.
        """
        if session in self._tasks:
            raise packets.PacketError("connecting already")
        offered = auth if isinstance(auth, dict) else {}
        if "pid" not in offered:
            self._begin(session)
            return
        claims = self._tokens.read(offered["pid"])
        since = _offset(offered.get("offset"))
        if claims is None or len(self._tasks) >= _MOST_AT_ONCE:
            self._measures.recoveries["refused" if claims is None else "too_many"] += 1
            self._begin(session)
            return
        since = claims.issued_us if since is None else since
        task = asyncio.get_running_loop().create_task(self._recover(session, claims, offered["pid"], since))
        self._tasks[session] = task
        task.add_done_callback(lambda _: self._tasks.pop(session, None))

    def note(self, session: str, collection: str, *, inside: bool) -> None:
        """Remember where a session is, for the node that meets its client next."""
        (self.keeper.enter_room if inside else self.keeper.leave_room)(session, collection)

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, session: Returning) -> None:
        sid = packets.new_id()
        session.join(sid, self._tokens.issue(sid, session.client or sid))

    async def _recover(self, session: Returning, claims: Claims, pid: str, since: int) -> None:
        try:
            async with asyncio.timeout(self._patience_s):
                rooms = await self.keeper.rooms(claims.session)
                live = await asyncio.gather(*map(self._hub.live, rooms))
        except (TimeoutError, BrokerError) as error:
            log.warning("a session is not recovered: %s", error or "the broker does not answer")
            live, rooms = [], []
        if not rooms or not all(live):
            self._measures.recoveries["unknown"] += 1
            self._begin(session)
            return
        session.client = claims.client[: wire.MAX_CLIENT_CHARS]
        if session.join(claims.session, pid):
            self._measures.recoveries["recovered"] += 1
            self._hub.resume(session, rooms, since)


def _offset(value: object) -> int | None:
    """Return the offset a client offers, None for whatever is none."""
    usable = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _MAX_OFFSET_DIGITS
    return int(value) if usable and isinstance(value, str) else None
