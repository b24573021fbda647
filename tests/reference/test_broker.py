"""One conformance suite for every broker (the laws of `contract.py`), then what only a networked one can suffer."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from reference_gateway.broker import Broker, BrokerError, MemoryBroker, RedisBroker, open_broker

#: Opens (publisher, subscriber): two broker objects where the implementation can have two.
Pair = Callable[[], Any]


async def until(condition: Callable[[], bool], within_s: float = 10) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.005)


def redis_pair(url: str) -> Pair:
    @asynccontextmanager
    async def pair() -> AsyncIterator[tuple[Broker, Broker]]:
        one, two = RedisBroker(url, alive_s=0.2), RedisBroker(url, alive_s=0.2)
        try:
            await until(lambda: one.healthy and two.healthy)
            yield one, two
        finally:
            await one.close()
            await two.close()

    return pair


@asynccontextmanager
async def memory_pair() -> AsyncIterator[tuple[Broker, Broker]]:
    one = MemoryBroker()
    yield one, one
    await one.close()


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.e2e)])
def pair(request: pytest.FixtureRequest) -> Pair:
    return memory_pair if request.param == "memory" else redis_pair(request.getfixturevalue("valkey").url)


def conforms(pair: Pair, law: Callable[[Broker, Broker], Awaitable[None]]) -> None:
    async def body() -> None:
        async with asyncio.timeout(20), pair() as (publisher, subscriber):
            await law(publisher, subscriber)

    asyncio.run(body())


def test_message_arrives_once_subscribe_returned(pair: Pair) -> None:
    async def law(publisher: Broker, subscriber: Broker) -> None:
        got: list[tuple[str, bytes]] = []
        await subscriber.subscribe("a:ü", lambda channel, data: got.append((channel, data)))
        await publisher.publish("a:ü", b"\x00\xff\r\n one")
        await until(lambda: bool(got))
        assert got == [("a:ü", b"\x00\xff\r\n one")]

    conforms(pair, law)


def test_messages_keep_their_order_per_channel(pair: Pair) -> None:
    async def law(publisher: Broker, subscriber: Broker) -> None:
        got: dict[str, list[int]] = {"a": [], "b": []}
        for channel in "ab":
            await subscriber.subscribe(channel, lambda channel, data: got[channel].append(int(data)))
        await asyncio.gather(*(publisher.publish("ab"[n % 2], str(n).encode()) for n in range(400)))
        await until(lambda: len(got["a"]) + len(got["b"]) == 400)
        assert got == {"a": list(range(0, 400, 2)), "b": list(range(1, 400, 2))}

    conforms(pair, law)


def test_other_channels_are_not_heard(pair: Pair) -> None:
    async def law(publisher: Broker, subscriber: Broker) -> None:
        got: list[bytes] = []
        await subscriber.subscribe("mine", lambda _, data: got.append(data))
        await publisher.publish("min", b"1")
        await publisher.publish("mine2", b"2")
        await publisher.publish("mine", b"3")
        await until(lambda: b"3" in got)
        assert got == [b"3"]

    conforms(pair, law)


def test_unsubscribed_callback_is_never_called_again(pair: Pair) -> None:
    async def law(publisher: Broker, subscriber: Broker) -> None:
        got: list[bytes] = []
        await subscriber.subscribe("gone", lambda _, data: got.append(data))
        await subscriber.subscribe("last", lambda _, data: got.append(data))
        await publisher.publish("gone", b"in flight")
        subscriber.unsubscribe("gone")
        got.clear()
        await publisher.publish("gone", b"late")
        await publisher.publish("last", b"end")
        await until(lambda: b"end" in got)
        assert got == [b"end"]
        subscriber.unsubscribe("never subscribed")

    conforms(pair, law)


def test_subscription_holds_after_leaving_and_coming_back(pair: Pair) -> None:
    async def law(publisher: Broker, subscriber: Broker) -> None:
        got: list[bytes] = []
        for turn in range(20):
            await subscriber.subscribe("door", lambda _, data: got.append(data))
            await publisher.publish("door", b"%d" % turn)
            await until(lambda turn=turn: b"%d" % turn in got)
            subscriber.unsubscribe("door")
        assert got == [b"%d" % turn for turn in range(20)]

    conforms(pair, law)


def test_second_subscribe_to_a_channel_is_refused(pair: Pair) -> None:
    async def law(publisher: Broker, subscriber: Broker) -> None:
        await subscriber.subscribe("one", lambda *_: None)
        with pytest.raises(BrokerError, match="already subscribed"):
            await subscriber.subscribe("one", lambda *_: None)

    conforms(pair, law)


def test_raising_callback_is_counted_and_stops_nobody(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    async def law(publisher: Broker, subscriber: Broker) -> None:
        got: list[bytes] = []

        def fail(channel: str, data: bytes) -> None:
            raise RuntimeError(channel)

        await subscriber.subscribe("bad", fail)
        await subscriber.subscribe("good", lambda _, data: got.append(data))
        await publisher.publish("bad", b"x")
        await publisher.publish("good", b"y")
        await until(lambda: bool(got))
        assert isinstance(subscriber, MemoryBroker | RedisBroker)
        assert subscriber.callback_errors == 1
        assert subscriber.healthy

    conforms(pair, law)
    assert "a subscriber of bad failed" in caplog.text


def test_storm_of_subscribes_is_confirmed(pair: Pair) -> None:
    async def law(publisher: Broker, subscriber: Broker) -> None:
        got: set[str] = set()
        names = [f"c-{n}" for n in range(1200)]
        await asyncio.gather(*(subscriber.subscribe(name, lambda channel, _: got.add(channel)) for name in names))
        for name in names[::100]:
            await publisher.publish(name, b"")
        await until(lambda: got == set(names[::100]))

    conforms(pair, law)


def test_closed_broker_refuses_and_closes_twice(pair: Pair) -> None:
    async def law(publisher: Broker, subscriber: Broker) -> None:
        await subscriber.close()
        await subscriber.close()
        assert not subscriber.healthy
        with pytest.raises(BrokerError):
            await subscriber.publish("a", b"")
        with pytest.raises(BrokerError):
            await subscriber.subscribe("a", lambda *_: None)

    conforms(pair, law)


def test_unknown_scheme_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BrokerError, match=r"'nats'.*memory, redis"):
        asyncio.run(open_broker("nats://127.0.0.1"))


@pytest.mark.e2e
def test_lost_server_comes_back_with_every_subscription(valkey: Any) -> None:
    async def law(publisher: Broker, subscriber: Broker) -> None:
        got: list[bytes] = []
        for name in ("a", "b"):
            await subscriber.subscribe(name, lambda _, data: got.append(data))
        valkey.stop()
        await until(lambda: not subscriber.healthy)
        with pytest.raises(BrokerError, match="cannot publish"):
            await publisher.publish("a", b"lost")
        waiting = asyncio.create_task(subscriber.subscribe("c", lambda _, data: got.append(data)))
        given_up = asyncio.create_task(subscriber.subscribe("d", lambda _, data: got.append(data)))
        await asyncio.sleep(0)
        given_up.cancel()
        valkey.start()
        await waiting
        await until(lambda: subscriber.healthy)
        for name in "dabc":
            await publisher.publish(name, name.encode())
        await until(lambda: len(got) == 3)
        assert got == [b"a", b"b", b"c"]

    conforms(redis_pair(valkey.url), law)


@pytest.mark.e2e
def test_frozen_server_is_noticed_and_forgiven(valkey: Any) -> None:
    async def law(publisher: Broker, subscriber: Broker) -> None:
        got: list[bytes] = []
        await subscriber.subscribe("a", lambda _, data: got.append(data))
        valkey.signal(signal.SIGSTOP)
        try:
            await until(lambda: not subscriber.healthy)
            with pytest.raises(BrokerError):
                await publisher.publish("a", b"frozen")
        finally:
            valkey.signal(signal.SIGCONT)
        await until(lambda: subscriber.healthy)
        await publisher.publish("a", b"thawed")
        await until(lambda: b"thawed" in got)

    conforms(redis_pair(valkey.url), law)


@pytest.mark.e2e
def test_closing_while_subscribing_in_an_outage_fails_the_subscribe(valkey: Any) -> None:
    async def body() -> None:
        valkey.stop()
        broker = RedisBroker(valkey.url)
        waiting = asyncio.create_task(broker.subscribe("a", lambda *_: None))
        await asyncio.sleep(0)
        await broker.close()
        with pytest.raises(BrokerError, match="closed"):
            await waiting

    asyncio.run(body())
