"""Which node holds which client, as a real Valkey knows it: told, forgotten with the node, told again when lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from reference_gateway.broker import BrokerError, RedisBroker
from reference_gateway.broker.registry import Registry
from reference_gateway.gateway.server import Node
from reference_gateway.gateway.settings import Settings

from .conftest import FakeClient, ValkeyProcess

pytestmark = pytest.mark.e2e


async def until(expected: Any, ask: Callable[[], Awaitable[Any]]) -> None:
    async with asyncio.timeout(10):
        while (found := await ask()) != expected:
            await asyncio.sleep(0.02)
    assert found == expected


def test_clients_are_found_where_they_are_and_forgotten_with_their_node(valkey: ValkeyProcess) -> None:
    async def body() -> None:
        broker = RedisBroker(valkey.url)
        here: list[str] = ["ann"]
        one = Registry(broker.servers, "node-1", lambda: here, beat_s=0.05, alive_s=1)
        two = Registry(broker.servers, "node-2", beat_s=0.05, alive_s=1)
        asker = Registry(broker.servers)
        server = Redis.from_url(valkey.url)
        try:
            await until(["node-1"], lambda: asker.where("ann"))
            for client in ("ann", "bob", "bob", "bob"):
                two.enter(client)
            here.append("cid")
            one.enter("cid")
            await until({"node-1": 2, "node-2": 2}, asker.counts)
            assert sorted(await asker.where("ann")) == ["node-1", "node-2"]
            two.leave("bob")
            two.leave("bob")
            two.enter("eve")
            await until(["node-2"], lambda: asker.where("eve"))
            assert await asker.where("bob") == ["node-2"], "one of three connections is left"
            two.leave("bob")
            await until([], lambda: asker.where("bob"))

            await server.flushall()  # a broker that was started again, empty
            await until(["node-1"], lambda: asker.where("cid"))

            assert one._speaking is not None
            one._speaking.cancel()  # killed: it says nothing any more
            await until([], lambda: asker.where("cid"))
            await until({b"node-2"}, lambda: server.smembers("sockets"))
            await two.close()
            assert await asker.counts() == {}
        finally:
            for each in (one, two):
                await each.close()
            await server.aclose()
            await broker.close()

    asyncio.run(body())


def test_outage_of_the_broker_is_made_up_for(valkey: ValkeyProcess) -> None:
    async def body() -> None:
        broker = RedisBroker(valkey.url)
        here: list[str] = []
        registry = Registry(broker.servers, "node-1", lambda: here, beat_s=0.05)
        try:
            await until({"node-1": 0}, registry.counts)
            valkey.stop()
            here.append("ann")
            registry.enter("ann")
            await asyncio.sleep(0.2)
            valkey.start()

            async def found() -> list[str]:
                try:
                    return await registry.where("ann")
                except BrokerError:
                    return []

            await until(["node-1"], found)
        finally:
            await registry.close()
            await broker.close()

    asyncio.run(body())


def test_node_tells_of_its_clients_in_every_namespace(valkey: ValkeyProcess) -> None:
    async def body() -> None:
        broker = RedisBroker(valkey.url)
        node = Node(Settings(session_key="k", namespaces=frozenset({"/admin"})), broker)
        asking = RedisBroker(valkey.url)
        asker = Registry(asking.servers)
        try:
            ann, bob, cid = (FakeClient(node).join(f'{{"client":"{name}"}}') for name in ("ann", "bob", "cid"))
            bob.send_text('40/admin,{"client":"root"}')

            async def known() -> set[str]:
                return {name for name in ("ann", "bob", "cid", "root") if await asker.where(name)}

            await until({"ann", "bob", "cid", "root"}, known)
            (where,) = await asker.where("root")
            assert where.startswith("gateway-1@")
            ann.transport.close()
            bob.send_text("41/admin,")
            cid.send_text("41")
            await until({"bob"}, known)
            await node.close()
            assert await asker.counts() == {}
        finally:
            await node.close()
            await asking.close()

    asyncio.run(body())
