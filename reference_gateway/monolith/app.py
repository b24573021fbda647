"""The ASGI application of version `sync`: Socket.IO on /socket.io/, GET /healthz beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import socketio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from reference_gateway.monolith.sync import Sync
from reference_gateway.serving import MAX_BODY_BYTES
from reference_gateway.storage.revisions import RevisionStore


@dataclass(frozen=True, slots=True)
class MonolithSettings:
    """What one node needs; `redis_url` only joins several nodes."""

    node: str
    version: str
    database_url: str
    redis_url: str | None
    ping_interval_s: float
    ping_timeout_s: float
    pool_size: int


def build_app(settings: MonolithSettings) -> Starlette:
    """Return the node; it opens its store when it starts and closes it when it ends."""
    nodes = socketio.AsyncRedisManager(settings.redis_url) if settings.redis_url else None
    server = socketio.AsyncServer(
        async_mode="asgi",
        client_manager=nodes,
        transports=["websocket"],
        cors_allowed_origins="*",
        ping_interval=settings.ping_interval_s,
        ping_timeout=settings.ping_timeout_s,
        max_http_buffer_size=MAX_BODY_BYTES,
        http_compression=False,
    )

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        store = await RevisionStore.open(settings.database_url, settings.pool_size)
        app.state.sync = Sync(server, store)
        try:
            yield
        finally:
            await store.close()

    async def health(request: Request) -> JSONResponse:
        sync: Sync = request.app.state.sync
        known: dict[str, Any] = {"ok": True, "node": settings.node, "version": settings.version}
        return JSONResponse({**known, "connections": sync.connections})

    socket_app = socketio.ASGIApp(server, socketio_path="")
    routes = [Route("/healthz", health, methods=["GET"]), Mount("/socket.io", socket_app)]
    return Starlette(routes=routes, lifespan=lifespan)
