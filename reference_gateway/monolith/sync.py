"""Version `sync`, as the story tells it: one process, one event loop, one database pool for everything.

    socket --edit--> SQL transaction (here, in the socket's own process) --emit--> room of the collection
                                                     \\--beside a split version: through the broker (`bridge`)

Law: on the wire it behaves as the split versions do (`wire`); inside nothing is separated, on purpose. A subscribe
reads the database, an edit writes it, both through the pool that every socket of the process shares: socket load and
database latency move each other, and the end of the process is the end of all its sockets.

Several nodes share the room traffic through Redis (python-socketio's own manager). Revisions of one collection then
leave each node in order, but two nodes may overtake each other: viewers go by the revision's number.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import socketio
from sqlalchemy.exc import SQLAlchemyError

from reference_gateway.broker import BrokerError
from reference_gateway.monolith.bridge import Bridge
from reference_gateway.relocation import Relocation
from reference_gateway.services.stripes import Stripes
from reference_gateway.storage.revisions import RevisionStore
from reference_gateway.wire import (
    EDIT,
    MAX_CLIENT_CHARS,
    REVISION,
    SUBSCRIBE,
    UNSUBSCRIBE,
    WireError,
    accepted,
    channel_of,
    collection_of,
    edit_of,
    refused,
)

log = logging.getLogger(__name__)


class Sync:
    """The event handlers, over one store and one Socket.IO server."""

    def __init__(self, server: socketio.AsyncServer, store: RevisionStore, bridge: Bridge | None = None) -> None:
        self._server = server
        self._store = store
        self._bridge = bridge
        self._leaving: set[asyncio.Task[None]] = set()
        self._stripes = Stripes()
        self._clients: dict[str, str] = {}
        for event, handler in (
            ("connect", self._connect),
            ("disconnect", self._disconnect),
            (SUBSCRIBE, self._subscribe),
            (UNSUBSCRIBE, self._unsubscribe),
            (EDIT, self._edit),
            ("*", self._unknown),
        ):
            server.on(event, handler)

    @property
    def connections(self) -> int:
        """Clients connected to this node."""
        return len(self._clients)

    def relocate(self, order: Relocation, version: str) -> int:
        """Send away those whom `order` names, over its seconds, as if their transport ended; return how many.

        A Socket.IO disconnect would tell the client's library not to come back.
        """
        sids = list(self._clients)
        leaving = [sids[place] for place in order.choose(version, [self._clients[sid] for sid in sids])]
        task = asyncio.get_running_loop().create_task(self._send_away(leaving, order.over_s))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
        return len(leaving)

    async def _send_away(self, sids: Sequence[str], over_s: float) -> None:
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        for place, sid in enumerate(sids):
            await asyncio.sleep(max(0.0, start_s + over_s * place / len(sids) - loop.time()))
            transport = self._server.manager.eio_sid_from_sid(sid, "/")
            if transport is not None:
                await self._server.eio.disconnect(transport)

    async def _connect(self, sid: str, _environ: Mapping[str, Any], auth: Any = None) -> None:
        client = auth.get("client") if isinstance(auth, dict) else None
        self._clients[sid] = client[:MAX_CLIENT_CHARS] if isinstance(client, str) and client else sid

    async def _disconnect(self, sid: str, _reason: Any = None) -> None:
        self._clients.pop(sid, None)

    async def _subscribe(self, sid: str, *args: Any) -> dict[str, object]:
        try:
            collection = collection_of(args)
            await self._server.enter_room(sid, channel_of(collection))
            if self._bridge is not None:
                await self._bridge.follow(collection)
            return accepted(await self._store.latest(collection))
        except WireError as error:
            return refused(str(error))
        except SQLAlchemyError as error:
            return _database_failed("subscribe", error)
        except BrokerError as error:
            await self._server.leave_room(sid, channel_of(collection))
            return refused(f"cannot subscribe now: {error}")

    async def _unsubscribe(self, sid: str, *args: Any) -> dict[str, object]:
        try:
            collection = collection_of(args)
            await self._server.leave_room(sid, channel_of(collection))
            return accepted(await self._store.latest(collection))
        except WireError as error:
            return refused(str(error))
        except SQLAlchemyError as error:
            return _database_failed("unsubscribe", error)

    async def _edit(self, sid: str, *args: Any) -> dict[str, object]:
        try:
            edit = edit_of(args)
        except WireError as error:
            return refused(str(error))
        author = self._clients.get(sid, sid)
        async with self._stripes.lock_of(edit.collection):
            try:
                revision = await self._store.append_revision(*edit, author)
            except SQLAlchemyError as error:
                return _database_failed("edit", error)
            message = {**edit._asdict(), "revision": revision}
            if self._bridge is None:
                await self._server.emit(REVISION, message, room=channel_of(edit.collection))
            else:
                await self._bridge.publish(message)
        return accepted(revision)

    async def _unknown(self, event: str, _sid: str, *_args: Any) -> dict[str, object]:
        return refused(f"unknown event {event[:80]!r}")


def _database_failed(event: str, error: SQLAlchemyError) -> dict[str, object]:
    log.warning("%s failed: %s", event, type(error).__name__)
    return refused(f"{event}: the database did not answer")
