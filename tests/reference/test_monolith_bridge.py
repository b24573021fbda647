"""Beside a split version: a revision reaches each viewer of `sync` once, through the broker, in order."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import pytest

from reference_gateway.broker import BrokerError, MemoryBroker
from reference_gateway.monolith import bridge as module
from reference_gateway.monolith.bridge import Bridge
from reference_gateway.monolith.sync import Sync
from reference_gateway.relocation import Relocation


class Transports:
    def __init__(self) -> None:
        self.closed: list[str] = []

    async def disconnect(self, transport: str) -> None:
        self.closed.append(transport)


class Server:
    """What a node and its bridge use of a Socket.IO server."""

    def __init__(self) -> None:
        self.handlers: dict = {}
        self.emitted: list = []
        self.rooms: dict = {}
        self.eio = Transports()
        self.manager = SimpleNamespace(
            rooms={"/": self.rooms}, eio_sid_from_sid=lambda sid, namespace: None if sid == "gone" else f"t-{sid}"
        )

    def on(self, event, handler) -> None:
        self.handlers[event] = handler

    async def enter_room(self, sid, room) -> None:
        self.rooms.setdefault(room, set()).add(sid)

    async def leave_room(self, sid, room) -> None:
        self.rooms.get(room, set()).discard(sid)

    async def emit(self, event, data, room) -> None:
        await asyncio.sleep(0)
        self.emitted.append((event, data, room))


class Store:
    def __init__(self) -> None:
        self.number = 0

    async def append_revision(self, *_) -> int:
        self.number += 1
        return self.number

    async def latest(self, _) -> int:
        return self.number


EDIT = {"collection": "c-1", "parameter": "url", "text": "hi"}


def run(scenario, broker=None) -> None:
    async def body() -> None:
        server, shared = Server(), broker or MemoryBroker()
        bridge = Bridge(shared, server)
        try:
            await scenario(server, shared, Sync(server, Store(), bridge), bridge)
        finally:
            await bridge.close()

    asyncio.run(body())


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_own_edit_comes_back_through_the_broker_once() -> None:
    async def scenario(server, broker, sync, bridge) -> None:
        assert (await server.handlers["subscribe"]("s1", {"collection": "c-1"}))["ok"]
        assert (await server.handlers["edit"]("s2", EDIT)) == {"ok": True, "revision": 1}
        await settle()
        assert server.emitted == [("revision", {**EDIT, "revision": 1}, "collection:c-1")]

    run(scenario)


def test_edits_of_the_other_side_arrive_in_order_and_without_the_offset_of_its_log() -> None:
    async def scenario(server, broker, sync, bridge) -> None:
        await server.handlers["subscribe"]("s1", {"collection": "c-1"})
        for number in range(5):
            data = {**EDIT, "revision": number, "offset": str(1000 + number)}
            await broker.publish("collection:c-1", json.dumps(data).encode())
        await settle()
        assert [data for _, data, _ in server.emitted] == [{**EDIT, "revision": number} for number in range(5)]

    run(scenario)


def test_subscribers_at_once_share_one_subscription() -> None:
    async def scenario(server, broker, sync, bridge) -> None:
        answers = await asyncio.gather(
            *(server.handlers["subscribe"](f"s{number}", {"collection": "c-1"}) for number in range(9))
        )
        assert all(answer["ok"] for answer in answers)

    run(scenario)


def test_silent_broker_is_a_refusal_and_the_next_one_asks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent(MemoryBroker):
        asked = 0

        async def subscribe(self, channel, callback) -> None:
            self.asked += 1
            if self.asked == 1:
                await asyncio.Event().wait()
            await super().subscribe(channel, callback)

    monkeypatch.setattr(module, "CONFIRM_S", 0.01)

    async def scenario(server, broker, sync, bridge) -> None:
        refused = await server.handlers["subscribe"]("s1", {"collection": "c-1"})
        assert refused == {"ok": False, "error": "cannot subscribe now: the broker does not answer"}
        assert server.rooms["collection:c-1"] == set()
        assert (await server.handlers["subscribe"]("s1", {"collection": "c-1"}))["ok"]

    run(scenario, Silent())


def test_edit_that_cannot_be_published_is_stored_and_counted() -> None:
    class Down(MemoryBroker):
        async def publish(self, channel, data) -> None:
            raise BrokerError("no connection")

    async def scenario(server, broker, sync, bridge) -> None:
        assert (await server.handlers["edit"]("s1", EDIT))["ok"]
        assert bridge.unpublished == 1

    run(scenario, Down())


def test_collection_without_viewers_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SWEEP_S", 0.01)

    async def scenario(server, broker, sync, bridge) -> None:
        await server.handlers["subscribe"]("s1", {"collection": "c-1"})
        await server.handlers["subscribe"]("s1", {"collection": "c-2"})
        del server.rooms["collection:c-1"]
        await asyncio.sleep(0.05)
        for name in ("c-1", "c-2"):
            await broker.publish(f"collection:{name}", json.dumps({**EDIT, "collection": name, "revision": 1}).encode())
        await settle()
        assert [room for *_, room in server.emitted] == ["collection:c-2"]

    run(scenario)


def test_clients_that_are_to_go_lose_their_transport() -> None:
    """Not by a Socket.IO disconnect, after which a client's library would stay away."""

    async def scenario(server, broker, sync, bridge) -> None:
        for sid in ("s1", "gone", "s2"):
            await server.handlers["connect"](sid, {}, {"client": f"c-{sid}"})
        assert sync.relocate(Relocation({"sync": 0.0, "bifrost-1": 1.0}, 0.0, 0.02), "sync") == 3
        await asyncio.sleep(0.1)
        assert server.eio.closed == ["t-s1", "t-s2"]

    run(scenario)
