"""The private API over HTTP.

POST /v1/messages {"event", "args", "client", "node"} -> 200 {"args": [ack]}; 400 for what is no message
GET  /v1/rules                                        -> 200 the rules in force, and why a newer file is not
POST /v1/rules/reload                                 -> 200 the same; 409 when the file was refused
GET  /healthz                                         -> 200 {"ok", "pid", "rules", "carried", "failed"}
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from reference_gateway.api.calls import Calls, open_pool
from reference_gateway.api.reload import RuleFile
from reference_gateway.serving import BodyError, read_object, refuse


def build_app(rules: Path, services: dict[str, str], reload_on_hangup: bool = False) -> Starlette:
    """Return the API with the rules of a file, which must be valid now.

    Args:
        rules: the rule file, watched from now on.
        services: base URL per service placeholder, e.g. {"collections_url": "http://127.0.0.1:9002"}.
        reload_on_hangup: whether SIGHUP reloads the rules (main thread only).

    Raises:
        RuleError: the file cannot be used.
    """
    rule_file = RuleFile(rules, services)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with open_pool() as session:
            app.state.calls = Calls(session, services)
            app.state.rule_file = rule_file
            watching = asyncio.create_task(rule_file.watch())
            if reload_on_hangup:
                asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, rule_file.reload)
            try:
                yield
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)

    routes = [
        Route("/v1/messages", _message, methods=["POST"]),
        Route("/v1/rules", _rules, methods=["GET"]),
        Route("/v1/rules/reload", _reload, methods=["POST"]),
        Route("/healthz", _health, methods=["GET"]),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


async def _message(request: Request) -> JSONResponse:
    state = request.app.state
    try:
        message = await read_object(request)
    except BodyError as error:
        return refuse(400, str(error))
    return JSONResponse({"args": [await state.calls.carry(state.rule_file.table, message)]})


async def _rules(request: Request) -> JSONResponse:
    return JSONResponse(request.app.state.rule_file.describe())


async def _reload(request: Request) -> JSONResponse:
    rule_file: RuleFile = request.app.state.rule_file
    in_force = rule_file.reload()
    return JSONResponse(rule_file.describe(), status_code=200 if in_force else 409)


async def _health(request: Request) -> JSONResponse:
    state = request.app.state
    counts = {"carried": state.calls.carried, "failed": state.calls.failed}
    return JSONResponse({"ok": True, "pid": os.getpid(), "rules": state.rule_file.table.digest, **counts})
