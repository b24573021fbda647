"""Coming back: tokens that are believed or not, rooms restored, what was missed sent once and in order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from reference_gateway.broker import MemoryBroker, RedisBroker
from reference_gateway.broker.log import Offsets
from reference_gateway.gateway.server import Node
from reference_gateway.gateway.settings import Settings
from reference_gateway.gateway.tokens import Tokens

from .conftest import FakeClient, ValkeyProcess

KEY = "a key for tests"
SUBSCRIBE = '420["subscribe",{"collection":"%s"}]'


def run(scenario: Callable[[Node], Awaitable[None]], kept: int = 100) -> None:
    async def body() -> None:
        node = Node(Settings(session_key=KEY, log_kept=kept), MemoryBroker(kept))
        try:
            await scenario(node)
        finally:
            await node.close()

    asyncio.run(body())


async def settle(turns: int = 20) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


async def publish(node: Node, collection: str, *offsets: int) -> None:
    for offset in offsets:
        data = json.dumps({"collection": collection, "revision": offset, "offset": str(offset)})
        await node.broker.publish(f"collection:{collection}", data.encode())
    await settle()


async def connect(node: Node, auth: dict[str, Any] | None = None) -> tuple[FakeClient, dict[str, str], list[int]]:
    """Return a joined client, what CONNECT was answered, and the offsets that came right after."""
    client = FakeClient(node)
    client.upgrade()
    client.send_text("40" + ("" if auth is None else json.dumps(auth)))
    await settle()
    answer, *events = client.took_texts()
    assert answer.startswith("40{")
    return client, json.loads(answer[2:]), offsets_of(events)


def offsets_of(texts: list[str]) -> list[int]:
    events = [json.loads(text[2:]) for text in texts if text.startswith("42")]
    assert all(event[-1].isdigit() and "offset" not in event[1] for event in events)
    return [int(event[-1]) for event in events]


async def subscribe(client: FakeClient, *collections: str) -> None:
    for collection in collections:
        client.send_text(SUBSCRIBE % collection)
    await settle()
    assert client.took().count(b'"ok":true') == len(collections)


def test_client_that_comes_back_is_in_its_rooms_and_gets_what_it_missed_once_and_in_order() -> None:
    async def scenario(node: Node) -> None:
        client, hello, _ = await connect(node, {"client": "ann"})
        await subscribe(client, "a", "b")
        await publish(node, "a", 1, 2)
        assert offsets_of(client.took_texts()) == [1, 2]
        client.transport.abort()
        await publish(node, "b", 3)
        await publish(node, "a", 4)
        await publish(node, "b", 5)
        await publish(node, "elsewhere", 6)
        back, again, missed = await connect(node, {"pid": hello["pid"], "offset": "2"})
        assert again == hello
        assert back.session.client == "ann"
        assert missed == [3, 4, 5]
        await publish(node, "a", 7)
        assert offsets_of(back.took_texts()) == [7]
        assert node.measures.recoveries["recovered"] == 1
        assert node.measures.messages_replayed == 3
        await subscribe(back, "a")  # asked again, as a client that does not know: nothing comes twice
        await publish(node, "a", 8)
        assert offsets_of(back.took_texts()) == [8]

    run(scenario)


def test_client_without_a_message_yet_misses_nothing_either() -> None:
    async def scenario(node: Node) -> None:
        client, hello, _ = await connect(node)
        await subscribe(client, "a")
        client.transport.abort()
        offset = Offsets().next()
        await publish(node, "a", 5, offset)  # 5 is from long before its session
        _, again, missed = await connect(node, {"pid": hello["pid"]})
        assert again == hello
        assert missed == [offset]

    run(scenario)


def test_left_rooms_are_not_restored_and_the_log_is_bounded() -> None:
    async def scenario(node: Node) -> None:
        client, hello, _ = await connect(node)
        await subscribe(client, "a", "b")
        client.send_text('421["unsubscribe",{"collection":"b"}]')
        client.transport.abort()
        await publish(node, "a", 1, 2, 3, 4, 5)
        await publish(node, "b", 6)
        _, _, missed = await connect(node, {"pid": hello["pid"], "offset": "1"})
        assert missed == [3, 4, 5]

    run(scenario, kept=3)


@pytest.mark.parametrize("broken", ["", "x.y", 7, None, "é.é", "A" * 2000, "swapped"])
def test_token_that_is_not_ours_gets_a_new_session(broken: object) -> None:
    async def scenario(node: Node) -> None:
        _, hello, _ = await connect(node)
        pid = Tokens(b"another key", 60).issue(hello["sid"], "ann") if broken == "swapped" else broken
        _, again, missed = await connect(node, {"pid": pid, "offset": "0"})
        assert again["sid"] != hello["sid"]
        assert missed == []
        assert node.measures.recoveries["refused"] == 1

    run(scenario)


def test_token_is_believed_until_its_lifetime_is_over() -> None:
    now_ns = [10**18]
    tokens = Tokens(b"key", 60, lambda: now_ns[0])
    token = tokens.issue("sid", "ann")
    now_ns[0] += 60 * 10**9
    claims = tokens.read(token)
    assert claims is not None
    assert (claims.session, claims.client) == ("sid", "ann")
    now_ns[0] += 10**6
    assert tokens.read(token) is None
    assert tokens.read(token[:-1] + ("A" if token[-1] != "A" else "B")) is None


def test_unknown_session_gets_a_new_one_and_connecting_twice_is_an_error() -> None:
    async def scenario(node: Node) -> None:
        pid = Tokens(KEY.encode(), 60).issue("never-seen", "ann")
        client = FakeClient(node)
        client.upgrade()
        client.send_text("40" + json.dumps({"pid": pid}))
        client.send_text("40")
        first, payload = client.took_frames()[-1]
        assert (first, payload[:2]) == (0x88, (4009).to_bytes(2, "big"))
        _, hello, _ = await connect(node, {"pid": pid})
        assert hello["sid"] != "never-seen"
        assert node.measures.recoveries["unknown"] >= 1

    run(scenario)


def test_outage_of_the_broker_is_made_up_from_its_log() -> None:
    async def scenario(node: Node) -> None:
        client, _, _ = await connect(node)
        await subscribe(client, "a")
        await publish(node, "a", 1)
        broker = node.broker
        assert isinstance(broker, MemoryBroker)
        for offset in (2, 3):  # in the log, but this node never heard of it
            broker._logs["collection:a"].append(b'{"revision":1,"offset":"%d"}' % offset)
        node.hub.restored()
        await settle()
        await publish(node, "a", 3, 4)  # 3 is published twice
        assert offsets_of_any(client) == [1, 2, 3, 4]

    run(scenario)


def test_what_comes_before_the_log_is_read_waits_for_what_was_missed() -> None:
    async def scenario(node: Node) -> None:
        client, _, _ = await connect(node)
        await subscribe(client, "a")
        await publish(node, "a", 1)
        client.took()
        broker = node.broker
        assert isinstance(broker, MemoryBroker)
        node.hub.interrupted()
        broker._logs["collection:a"].append(b'{"revision":1,"offset":"2"}')
        await publish(node, "a", 3)  # subscribed again, but not told so yet
        assert client.took() == b""
        node.hub.interrupted()  # and once more, before anything was mended
        node.hub.restored()
        await publish(node, "a", 4)
        await settle()
        assert offsets_of_any(client) == [2, 3, 4]

    run(scenario)


def offsets_of_any(client: FakeClient) -> list[int]:
    return [int(json.loads(text[2:])[-1]) for text in client.took_texts()]


def test_offsets_grow_even_when_the_clock_goes_back() -> None:
    ticks = iter([5_000, 5_000, 9_000, 1_000])
    offsets = Offsets(lambda: next(ticks))
    assert [offsets.next() for _ in range(4)] == [5, 6, 9, 10]


@pytest.mark.e2e
def test_any_node_recovers_what_the_broker_kept(valkey: ValkeyProcess) -> None:
    """Two nodes share nothing but the broker and the key; the log outlives the node that the client was on."""

    async def body() -> None:
        brokers = [RedisBroker(valkey.url, kept=100) for _ in range(3)]
        one, two = (Node(Settings(session_key=KEY), broker) for broker in brokers[:2])

        async def until(done: Callable[[], bool]) -> None:
            async with asyncio.timeout(10):
                while not done():
                    await asyncio.sleep(0.005)

        client = FakeClient(one)
        client.upgrade()
        client.send_text("40")
        (answer,) = client.took_texts()
        hello = json.loads(answer[2:])
        client.send_text(SUBSCRIBE % "a")
        await until(lambda: b'"ok":true' in client.transport.written)
        client.took()
        offsets = Offsets()

        async def edit() -> int:
            offset = offsets.next()
            data = json.dumps({"collection": "a", "revision": 1, "offset": str(offset)}).encode()
            await brokers[2].publish("collection:a", data)
            return offset

        first = await edit()
        await until(lambda: bool(client.transport.written))
        assert offsets_of(client.took_texts()) == [first]
        await one.close()
        missed = [await edit() for _ in range(3)]
        back = FakeClient(two)
        back.upgrade()
        back.send_text("40" + json.dumps({"pid": hello["pid"], "offset": str(first)}))
        await until(lambda: back.transport.written.count(b'"revision"') >= 3)
        answer, *events = back.took_texts()
        assert json.loads(answer[2:]) == hello
        assert offsets_of(events) == missed
        await two.close()
        await brokers[2].close()

    asyncio.run(body())
