"""How every part on uvicorn is served: uvloop, httptools, a deep backlog, no access log, one error style.

Laws: a request body is read to a bound and no further; a part that cannot start says why in one line and exits 2. A
part that hands over to a process beside it loses no request: it goes on answering on the connections it has, asks each
client to close, and leaves when they have, or when no pooled client can still hold one (`LINGER_S`).
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import sys
from collections.abc import Callable
from typing import Any, Final, Literal, cast

import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from reference_gateway.errors import SettingError
from reference_gateway.gate import Capacity, Gatehouse
from reference_gateway.settings import POOL_IDLE_S

BACKLOG: Final = 4096
# Longer than any pooled client keeps an idle connection: the client closes first, no request meets a closing server.
KEEP_ALIVE_S: Final = 75
MAX_BODY_BYTES: Final = 1024 * 1024
LINGER_S: Final = 2.0 * POOL_IDLE_S
_LOOK_S: Final = 0.05


class BodyError(ValueError):
    """A request body is too large or not the JSON object it has to be."""


def serve(
    app: ASGIApp,
    host: str,
    port: int,
    ws: Literal["none", "wsproto"] = "none",
    capacity: Capacity | None = None,
    *,
    listener: int | None = None,
) -> None:
    """Serve `app` on (host, port) until SIGTERM; open connections then have one second.

    Args:
        app: any ASGI application.
        host: address to listen on.
        port: TCP port.
        ws: "wsproto" to accept WebSockets; pings and compression are then the application's own affair.
        capacity: how many Socket.IO clients may be admitted; None or 0 = no gate.
        listener: descriptor of the socket to accept from, which the supervisor holds too: what waits there when this
            process leaves is the next one's. None = a socket of its own on (host, port).
    """
    parting = Parting(app)
    config = uvicorn.Config(
        app if listener is None else parting,
        host=host,
        port=port,
        loop="uvloop",
        http="httptools" if capacity is None or not capacity.per_s else _gated(capacity),
        ws=ws,
        ws_max_size=MAX_BODY_BYTES,
        ws_ping_interval=None,
        ws_per_message_deflate=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=1,
        access_log=False,
        log_config=None,
        server_header=False,
        lifespan="on",
    )
    if listener is None:
        uvicorn.Server(config).run()
        return
    _LingeringServer(config, parting).run(sockets=[socket.socket(fileno=listener)])


class Parting:
    """An ASGI application that, once `leaving` is set, asks with each answer for the connection to be closed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.leaving = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on."""

        async def sending(message: Message) -> None:
            if self.leaving and message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
            await send(message)

        await self._app(scope, receive, sending)


class _LingeringServer(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, parting: Parting) -> None:
        super().__init__(config)
        self._parting = parting

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more, answer what still comes, then end as any server."""
        self._parting.leaving = True
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        until_s = asyncio.get_running_loop().time() + LINGER_S
        while self.server_state.connections and asyncio.get_running_loop().time() < until_s:
            await asyncio.sleep(_LOOK_S)
        await super().shutdown(sockets)


def _gated(capacity: Capacity) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol behind a gate; made with the first connection, inside the loop."""
    houses: list[Gatehouse] = []

    def door(server_state: ServerState, **others: Any) -> asyncio.Protocol:
        if not houses:
            houses.append(Gatehouse(capacity, lambda: len(server_state.connections)))
        return houses[0].gate(lambda: HttpToolsProtocol(server_state=server_state, **others))

    return cast(type[asyncio.Protocol], door)


def run_part(name: str, start: Callable[[], None]) -> None:
    """Configure logging for the part `name` and run `start`; a wrong setting is one line and exit status 2."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    try:
        start()
    except SettingError as error:
        logging.getLogger(name).error("%s", error)
        sys.exit(2)


async def read_object(request: Request) -> dict[str, Any]:
    """Return the JSON object in the body of `request`.

    Raises:
        BodyError: it is over `MAX_BODY_BYTES`, not JSON, or not an object.
    """
    chunks: list[bytes] = []
    size_bytes = 0
    async for chunk in request.stream():
        size_bytes += len(chunk)
        if size_bytes > MAX_BODY_BYTES:
            raise BodyError(f"the body is over {MAX_BODY_BYTES} bytes")
        chunks.append(chunk)
    try:
        value = json.loads(b"".join(chunks))
    except (ValueError, RecursionError) as error:
        raise BodyError(f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise BodyError("the body must be a JSON object")
    return value


def refuse(status: int, error: str) -> JSONResponse:
    """Return the JSON answer of a refused request: {"error": ...}."""
    return JSONResponse({"error": error}, status_code=status)
