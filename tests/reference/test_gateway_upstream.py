"""Messages on their way to the API: in order per client and collection, bounded, and every failure is an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from aiohttp import web

from reference_gateway.gateway.measures import Measures
from reference_gateway.gateway.upstream import Upstream

pytestmark = pytest.mark.e2e  # a real HTTP server on loopback

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Client:
    def __init__(self, name: str = "me") -> None:
        self.client = name
        self.calls = 0
        self.answers: list[tuple[str | None, Any]] = []
        self.namespace = "/"

    def answer_all(self, ack: str | None, args: Sequence[object]) -> None:
        self.answers.append((ack, args[0] if args else None))

    def emit(self, event: str, args: Sequence[object], *, ack: bool) -> None:
        self.answers.append((event, [*args, ack]))


def on_api(
    handler: Handler, scenario: Callable[[Upstream, Measures], Awaitable[None]], *, up: bool = True, **bounds: Any
) -> None:
    async def body() -> None:
        app = web.Application()
        app.router.add_post("/v1/messages", handler)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        if not up:
            await runner.cleanup()
        measures = Measures()
        limits = {"connections": 4, "outstanding": 100, "per_client": 100, "timeout_s": 5.0, **bounds}
        upstream = Upstream(f"http://127.0.0.1:{port}", "gateway-7", measures, **limits)
        try:
            async with asyncio.timeout(15):
                await scenario(upstream, measures)
                assert upstream._lanes == {}
                assert upstream.in_flight == 0
        finally:
            await upstream.close()
            await runner.cleanup()

    asyncio.run(body())


async def answered(client: Client, count: int) -> None:
    while len(client.answers) < count:
        await asyncio.sleep(0.002)
    await asyncio.sleep(0)


def test_message_is_posted_whole_and_its_answer_is_the_ack() -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response({"args": [await request.json()]})

    async def scenario(upstream: Upstream, measures: Measures) -> None:
        client = Client()
        upstream.submit(client, "edit", [{"collection": "c", "text": "ü\ud800"}], "12")
        await answered(client, 1)
        sent = {"event": "edit", "args": [{"collection": "c", "text": "ü\ud800"}], "client": "me", "node": "gateway-7"}
        assert client.answers == [("12", sent)]
        assert client.calls == 0
        assert measures.upstream_calls == 1

    on_api(handler, scenario)


def test_messages_of_one_collection_stay_in_order_and_others_overtake() -> None:
    seen: list[tuple[str, int]] = []
    held = asyncio.Event()

    async def handler(request: web.Request) -> web.Response:
        body = (await request.json())["args"][0]
        if body["collection"] == "held" and not held.is_set():
            await held.wait()
        seen.append((body["collection"], body["n"]))
        return web.json_response({"args": []})

    async def scenario(upstream: Upstream, measures: Measures) -> None:
        client = Client()
        for n in range(20):
            upstream.submit(client, "edit", [{"collection": "held", "n": n}], None)
            upstream.submit(client, "edit", [{"collection": "free", "n": n}], None)
        await answered(client, 20)
        assert seen == [("free", n) for n in range(20)]
        held.set()
        await answered(client, 40)
        assert seen[20:] == [("held", n) for n in range(20)]

    on_api(handler, scenario)


async def status_500(request: web.Request) -> web.Response:
    return web.json_response({"args": []}, status=500)


async def nonsense(request: web.Request) -> web.Response:
    return web.Response(text="<html>")


async def wrong_shape(request: web.Request) -> web.Response:
    return web.json_response({"args": "no list"})


async def never(request: web.Request) -> web.Response:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.parametrize(
    ("handler", "up", "reason"),
    [
        (status_500, True, "status"),
        (nonsense, True, "malformed"),
        (wrong_shape, True, "malformed"),
        (never, True, "timeout"),
        (never, False, "unreachable"),
    ],
)
def test_failed_call_is_an_ack_that_says_so(handler: Handler, up: bool, reason: str) -> None:
    async def scenario(upstream: Upstream, measures: Measures) -> None:
        client = Client()
        upstream.submit(client, "edit", [], "1")
        upstream.submit(client, "edit", [], "2")
        await answered(client, 2)
        assert [(ack, answer["ok"]) for ack, answer in client.answers] == [("1", False), ("2", False)]
        assert measures.upstream_failures == {reason: 2}

    on_api(handler, scenario, up=up, timeout_s=0.2)


def test_unanswered_messages_are_bounded_per_client_and_in_all() -> None:
    go = asyncio.Event()

    async def handler(request: web.Request) -> web.Response:
        await go.wait()
        return web.json_response({"args": [{"ok": True}]})

    async def scenario(upstream: Upstream, measures: Measures) -> None:
        clients = [Client() for _ in range(3)]
        for client in clients:
            for n in range(4):
                upstream.submit(client, "edit", [n], str(n))
        refused = [[ack for ack, answer in client.answers if not answer["ok"]] for client in clients]
        assert refused == [["3"], ["3"], ["2", "3"]]  # 3 each, 8 in all
        assert measures.upstream_failures == {"full": 4}
        go.set()
        for client in clients:
            await answered(client, 4)

    on_api(handler, scenario, per_client=3, outstanding=8)
