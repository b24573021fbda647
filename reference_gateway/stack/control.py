"""The control server of a running stack: deploy, rollout, faults, where, status, down. Loopback only, one bearer token.

POST /v1/deploy {"strategy", ..see deploy} -> 200 {"replaced", "seconds"} when complete; 400, 401, 409, 500
POST /v1/rollout {"percent", ..}           -> 200 {"clients", "left", ..} once as many are back; 400, 401, 409, 500
PUT  /v1/faults/NAME {"kind", "part", ..see faults} -> 201 {"parts"} when in place; 400, 401, 409
DELETE /v1/faults/NAME                        -> 200 {"undone": bool} when taken back; 401, 409
GET  /v1/where?client=NAME                    -> 200 {"nodes": [{"name", "pid"}]}; 400, 401, 503
GET  /v1/status                               -> 200 {"version", "deploy", "faults", "parts": [..]}
POST /v1/down                                 -> 202, then the stack ends
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from aiohttp import web

from reference_gateway.broker import BrokerError
from reference_gateway.errors import DeployError, DeployRunningError, FaultError, SettingError
from reference_gateway.stack.deploy import DeployOrder
from reference_gateway.stack.faults.order import FaultOrder
from reference_gateway.stack.rollout import Rollout, RolloutOrder
from reference_gateway.stack.scaler import Scaler
from reference_gateway.stack.stack import Stack
from reference_gateway.stack.whereabouts import where

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Control:
    """HTTP in front of one stack; `ended` is set when somebody asked for its end."""

    def __init__(self, stack: Stack, ended: asyncio.Event) -> None:
        self._stack = stack
        self._ended = ended
        self._tasks: set[asyncio.Task[dict[str, Any]]] = set()
        composition = stack.composition
        self._rollouts = Rollout(
            [version.name for version in stack.config.versions],
            composition.gateways,
            composition.godserver.url,
            stack.token,
            composition.order_token,
        )
        self._scaler: Scaler | None = None
        if stack.config.scaling is not None:
            plan, supervisor = stack.config.scaling, stack.supervisor
            self._scaler = Scaler(plan, composition, supervisor, stack.deployer, stack.token)
        app = web.Application(client_max_size=64 * 1024, middlewares=[self._authorize])
        app.router.add_post("/v1/deploy", self._deploy)
        app.router.add_post("/v1/rollout", self._rollout)
        app.router.add_put("/v1/faults/{name}", self._strike)
        app.router.add_delete("/v1/faults/{name}", self._heal)
        app.router.add_get("/v1/where", self._where)
        app.router.add_get("/v1/status", self._status)
        app.router.add_post("/v1/down", self._down)
        self._scaling: asyncio.Task[None] | None = None
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)

    async def start(self) -> None:
        """Listen on the stack's control port.

        Raises:
            OSError: the port was taken since it was found free.
        """
        await self._runner.setup()
        if self._scaler is not None:
            self._scaling = asyncio.create_task(self._scaler.run(), name="scaler")
        await web.TCPSite(self._runner, "127.0.0.1", self._stack.composition.control_port).start()

    async def stop(self) -> None:
        """Stop listening; what is in progress is cancelled, its caller sees the connection end."""
        for task in self._tasks:
            task.cancel()
        if self._scaling is not None:
            self._scaling.cancel()
            await asyncio.gather(self._scaling, return_exceptions=True)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._runner.cleanup()

    @web.middleware
    async def _authorize(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, f"Bearer {self._stack.token}".encode()):
            return _refuse(401, "the control token is missing or wrong: it is in the ready file")
        return await handler(request)

    async def _deploy(self, request: web.Request) -> web.Response:
        try:
            order = DeployOrder.parse(json.loads(await request.text() or "{}"))
        except (SettingError, ValueError) as error:
            return _refuse(400, str(error))
        return await self._carry_out(self._stack.deployer.deploy(order))

    async def _rollout(self, request: web.Request) -> web.Response:
        try:
            order = RolloutOrder.parse(json.loads(await request.text() or "{}"))
        except (SettingError, ValueError) as error:
            return _refuse(400, str(error))
        if self._stack.deployer.current is not None:
            return _refuse(409, "a deploy is in progress: wait for its end")
        return await self._carry_out(self._rollouts.roll(order))

    async def _strike(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        try:
            order = FaultOrder.parse(json.loads(await request.text() or "{}"))
        except (SettingError, ValueError) as error:
            return _refuse(400, str(error))

        async def strike() -> dict[str, Any]:
            return {"parts": await self._stack.ward.strike(name, order)}

        return await self._carry_out(strike(), status=201)

    async def _heal(self, request: web.Request) -> web.Response:
        async def heal() -> dict[str, Any]:
            return {"undone": await self._stack.ward.heal(request.match_info["name"])}

        return await self._carry_out(heal())

    async def _carry_out(self, work: Coroutine[Any, Any, dict[str, Any]], status: int = 200) -> web.Response:
        # In a task of its own: a caller that gives up must not leave the stack half changed.
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            return web.json_response(await asyncio.shield(task), status=status)
        except SettingError as error:
            return _refuse(400, str(error))
        except (DeployRunningError, FaultError) as error:
            return _refuse(409, str(error))
        except DeployError as error:
            return _refuse(500, str(error))

    async def _where(self, request: web.Request) -> web.Response:
        stack = self._stack
        try:
            nodes = await where(stack.config, stack.composition, request.query.get("client", ""))
        except SettingError as error:
            return _refuse(400, str(error))
        except BrokerError as error:
            return _refuse(503, str(error))
        return web.json_response({"nodes": nodes})

    async def _status(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {**self._stack.status(), "scaled": self._scaler.changes if self._scaler is not None else []}
        )

    async def _down(self, _request: web.Request) -> web.Response:
        self._ended.set()
        return web.json_response({"ok": True}, status=202)


def _refuse(status: int, error: str) -> web.Response:
    return web.json_response({"error": error}, status=status)
