"""A drained client gets every message once, from the node it leaves or from the one that takes its place."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from reference_gateway import wire
from reference_gateway.broker import BrokerError, MemoryBroker
from reference_gateway.gateway import handover
from reference_gateway.gateway.server import Node
from reference_gateway.gateway.settings import Settings

from .conftest import FakeClient

CHANNEL = wire.channel_of("c")


class Exchange:
    """Memory brokers that are one: what is published at one is delivered by all."""

    def __init__(self) -> None:
        self.brokers: list[Member] = []
        self.revision = 0

    def join(self) -> Member:
        self.brokers.append(Member(self))
        return self.brokers[-1]

    async def edit(self) -> None:
        """Publish the next revision of collection "c"."""
        self.revision += 1
        message = {"collection": "c", "revision": self.revision, "parameter": "p", "text": "t"}
        await self.brokers[0].publish(CHANNEL, json.dumps(message).encode())


class Member(MemoryBroker):
    """A broker of the exchange."""

    def __init__(self, exchange: Exchange) -> None:
        super().__init__()
        self.exchange = exchange
        self.fails = False

    async def publish(self, channel: str, data: bytes) -> None:
        if self.fails:
            raise BrokerError("cut off")
        for broker in self.exchange.brokers:
            if not broker._closed:
                await MemoryBroker.publish(broker, channel, data)


class Viewer:
    """A named client that subscribes and writes down the revisions it gets."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.got: list[int] = []
        self.client: FakeClient | None = None

    def come(self, node: Node) -> None:
        self.client = FakeClient(node)
        self.client.upgrade()
        self.client.send_text(f'40{{"client":"{self.name}"}}')
        self.client.send_text('421["subscribe",{"collection":"c"}]')

    def read(self) -> bool:
        """Take what came; return whether it was told to go."""
        assert self.client is not None
        told = False
        for first, payload in self.client.took_frames():
            if first == 0x88:
                told = True
            elif payload.startswith(b'42["revision"'):
                self.got.append(json.loads(payload[2:])[1]["revision"])
        if told:
            self.client.transport.close()
        return told


Scenario = Callable[[Exchange, Node, Node], Awaitable[None]]


def run(scenario: Scenario, **more: Any) -> None:
    async def body() -> None:
        exchange = Exchange()
        nodes = [Node(Settings(handover=True, **more), exchange.join()) for _ in range(2)]
        for node in nodes:
            assert node.handover is not None
            node.handover.open()
        try:
            await asyncio.sleep(0)
            await scenario(exchange, *nodes)
        finally:
            for node in nodes:
                await node.close()

    asyncio.run(body())


async def turn(count: int = 6) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_every_message_reaches_a_drained_client_once() -> None:
    async def scenario(exchange: Exchange, old: Node, new: Node) -> None:
        viewers = [Viewer(f"v{number}") for number in range(40)]
        for viewer in viewers:
            viewer.come(old)
        await turn()
        drain = asyncio.ensure_future(old.drain())
        away: list[tuple[int, Viewer]] = []
        for step in range(100_000):
            if step % 3 == 0 and not drain.done():
                await exchange.edit()
            await turn(1 + step % 4)
            away += [(step + 1 + len(viewer.name) + step % 5, viewer) for viewer in viewers if viewer.read()]
            for due, viewer in away:
                if due == step:
                    viewer.come(new)
            if drain.done() and step > 50 and not any(due > step for due, _ in away):
                break
        await drain
        await exchange.edit()
        await turn(10)
        for viewer in viewers:
            viewer.read()
        assert len(away) == len(viewers)
        assert {tuple(viewer.got) for viewer in viewers} == {tuple(range(1, exchange.revision + 1))}
        assert new.measures.messages_replayed > 0

    run(scenario, drain_s=0.2)


def test_client_without_a_name_comes_back_as_after_any_close() -> None:
    async def scenario(exchange: Exchange, old: Node, new: Node) -> None:
        viewer = Viewer("")
        viewer.come(old)
        await turn()
        drain = asyncio.ensure_future(old.drain())
        while not viewer.read():
            await turn(1)
        await exchange.edit()
        await turn()
        viewer.come(new)
        await exchange.edit()
        await turn()
        viewer.read()
        assert viewer.got == [2]
        await drain

    run(scenario)


def test_nobody_takes_over_and_the_drain_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(exchange: Exchange, old: Node, new: Node) -> None:
        viewer = Viewer("v")
        viewer.come(old)
        await turn()
        await new.close()
        drain = asyncio.ensure_future(old.drain())
        while not viewer.read():
            await asyncio.sleep(0.01)
        await drain

    monkeypatch.setattr(handover, "READY_S", 0.05)
    run(scenario)


def test_broker_that_fails_costs_the_notes_and_not_the_drain() -> None:
    async def scenario(exchange: Exchange, old: Node, new: Node) -> None:
        viewer = Viewer("v")
        viewer.come(old)
        await turn()
        exchange.brokers[0].fails = True
        drain = asyncio.ensure_future(old.drain())
        while not viewer.read():
            await turn(1)
        await drain

    run(scenario)


def test_nothing_is_remembered_when_it_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(exchange: Exchange, old: Node, new: Node) -> None:
        viewers = [Viewer("stays away"), Viewer("v")]
        for viewer in viewers:
            viewer.come(old)
        await turn()
        drain = asyncio.ensure_future(old.drain())
        for viewer in viewers:
            while not viewer.read():
                await turn(1)
        await exchange.edit()
        await turn()
        assert set(new.hub.positions) == {"stays away", "v"}
        assert len(new.hub._channels["c"].log) == 1
        await asyncio.sleep(0.1)
        assert new.hub.positions == {}
        assert not new.hub._channels["c"].log
        await drain

    monkeypatch.setattr(handover, "MEMORY_S", 0.05)
    run(scenario)
