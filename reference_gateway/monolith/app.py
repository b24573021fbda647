"""The ASGI application of version `sync`: Socket.IO on /socket.io/, beside it GET /healthz and the stack's orders."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import socketio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Mount, Route

from reference_gateway.broker import RedisBroker
from reference_gateway.errors import SettingError
from reference_gateway.monolith.bridge import Bridge
from reference_gateway.monolith.sync import Sync
from reference_gateway.relocation import PATH, Relocation, is_authorized
from reference_gateway.serving import MAX_BODY_BYTES, refuse
from reference_gateway.storage.revisions import RevisionStore


@dataclass(frozen=True, slots=True)
class MonolithSettings:
    """What one node needs.

    Attributes:
        redis_url: joins several nodes; with `bridged`, also those of other versions (two URLs, as for gateways).
        order_token: who may send clients elsewhere (`relocation`); "" = nobody.
    """

    node: str
    version: str
    database_url: str
    redis_url: str | None
    ping_interval_s: float
    ping_timeout_s: float
    pool_size: int
    bridged: bool = False
    order_token: str = ""
    trouble_file: Path | None = None


def build_app(settings: MonolithSettings) -> Starlette:
    """Return the node; it opens its store when it starts and closes it when it ends."""
    joined = settings.redis_url is not None and not settings.bridged
    nodes = socketio.AsyncRedisManager(settings.redis_url) if joined else None
    server = socketio.AsyncServer(
        async_mode="asgi",
        client_manager=nodes,
        cors_allowed_origins="*",
        ping_interval=settings.ping_interval_s,
        ping_timeout=settings.ping_timeout_s,
        max_http_buffer_size=MAX_BODY_BYTES,
        http_compression=False,
    )

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        store = await RevisionStore.open(settings.database_url, settings.pool_size, settings.trouble_file)
        bridge = Bridge(RedisBroker(settings.redis_url), server) if settings.bridged and settings.redis_url else None
        app.state.sync = Sync(server, store, bridge)
        try:
            yield
        finally:
            if bridge is not None:
                await bridge.close()
            await store.close()

    async def health(request: Request) -> JSONResponse:
        sync: Sync = request.app.state.sync
        known: dict[str, Any] = {"ok": True, "node": settings.node, "version": settings.version}
        return JSONResponse({**known, "connections": sync.connections})

    async def leave(request: Request) -> JSONResponse:
        sync: Sync = request.app.state.sync
        if not is_authorized(settings.order_token, request.headers.get("authorization", "")):
            return refuse(401, "the token of the nodes is missing or wrong")
        try:
            order = Relocation.parse(request.url.query)
        except SettingError as error:
            return refuse(400, str(error))
        return JSONResponse({"leaving": sync.relocate(order, settings.version)}, 202)

    socket_app = socketio.ASGIApp(server, socketio_path="")
    routes: list[BaseRoute] = [Route("/healthz", health, methods=["GET"]), Mount("/socket.io", socket_app)]
    if settings.order_token:
        routes.append(Route(PATH, leave, methods=["POST"]))
    return Starlette(routes=routes, lifespan=lifespan)
