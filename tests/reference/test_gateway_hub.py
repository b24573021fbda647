"""Subscriptions: acknowledged when the broker confirmed, one broadcast for all, let go when nobody listens."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from reference_gateway import wire
from reference_gateway.broker import BrokerError, Callback
from reference_gateway.gateway.hub import Channel, Hub
from reference_gateway.gateway.measures import Measures
from reference_gateway.gateway.writer import Writer

OK0 = {"ok": True, "revision": 0}


class Client:
    def __init__(self) -> None:
        self.channels: tuple[Channel, ...] = ()
        self.answers: list[tuple[str | None, object]] = []
        self.written: list[bytes] = []

    @property
    def transport(self) -> Client:
        return self

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def answer(self, ack: str | None, argument: object) -> None:
        self.answers.append((ack, argument))

    def accept(self, ack: str | None, revision: int) -> None:
        self.answer(ack, wire.accepted(revision))

    def drop_slow(self) -> None:
        raise AssertionError


class SlowBroker:
    """Confirms when told to."""

    healthy = True

    def __init__(self) -> None:
        self.confirm = asyncio.Event()
        self.fault: str | None = None
        self.log: list[str] = []

    async def publish(self, channel: str, data: bytes) -> None:
        raise AssertionError

    async def subscribe(self, channel: str, callback: Callback) -> None:
        self.log.append(f"+{channel}")
        await self.confirm.wait()
        if self.fault:
            raise BrokerError(self.fault)

    def unsubscribe(self, channel: str) -> None:
        self.log.append(f"-{channel}")

    async def close(self) -> None:
        return


def on_hub(scenario: Callable[[Hub, SlowBroker, Measures], Awaitable[None]], confirm_s: float = 5) -> None:
    async def body() -> None:
        broker, measures = SlowBroker(), Measures()
        hub = Hub(broker, Writer(measures, asyncio.get_running_loop().call_soon), measures, confirm_s, 3)
        await scenario(hub, broker, measures)
        await hub.close()

    asyncio.run(body())


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_subscribe_is_acknowledged_only_after_the_broker_confirmed() -> None:
    async def scenario(hub: Hub, broker: SlowBroker, measures: Measures) -> None:
        one, two, late = Client(), Client(), Client()
        hub.subscribe(one, "c", "1")
        hub.subscribe(two, "c", "2")
        await settle()
        assert broker.log == ["+collection:c"]
        assert one.answers == two.answers == []
        broker.confirm.set()
        await settle()
        hub.subscribe(late, "c", "3")
        assert (one.answers, two.answers, late.answers) == ([("1", OK0)], [("2", OK0)], [("3", OK0)])
        assert broker.log == ["+collection:c"]

    on_hub(scenario)


def test_revision_is_encoded_once_and_reaches_every_subscriber() -> None:
    async def scenario(hub: Hub, broker: SlowBroker, measures: Measures) -> None:
        broker.confirm.set()
        clients, other = [Client() for _ in range(3)], Client()
        for client in clients:
            hub.subscribe(client, "c", None)
        hub.subscribe(other, "d", None)
        await settle()
        hub.receive("collection:c", b'{"collection":"c","revision":7}')
        assert len({id(client.written[0]) for client in clients}) == 1
        assert clients[0].written == [b'\x81\x2e42["revision",{"collection":"c","revision":7}]']
        assert other.written == []
        assert (measures.broadcasts, measures.messages_out) == (1, 3)
        hub.receive("collection:c", b'{"revision":5}')
        hub.subscribe(other, "c", "9")
        assert other.answers[-1] == ("9", {"ok": True, "revision": 7})

    on_hub(scenario)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"revision":"1"}', b"\xff", b'{"revision":1', b"[" * 100_000])
def test_malformed_revision_is_counted_and_sent_to_nobody(data: bytes) -> None:
    async def scenario(hub: Hub, broker: SlowBroker, measures: Measures) -> None:
        broker.confirm.set()
        client = Client()
        hub.subscribe(client, "c", None)
        await settle()
        hub.receive("collection:c", data)
        assert client.written == []
        assert measures.broker_faults == 1

    on_hub(scenario)


@pytest.mark.parametrize("way", ["refuses", "is silent"])
def test_subscribers_are_refused_when_the_broker(way: str) -> None:
    async def scenario(hub: Hub, broker: SlowBroker, measures: Measures) -> None:
        client = Client()
        if way == "refuses":
            broker.fault = "gone"
            broker.confirm.set()
        hub.subscribe(client, "c", "1")
        async with asyncio.timeout(5):
            while not client.answers:
                await asyncio.sleep(0.001)
        ((ack, answer),) = client.answers
        assert ack == "1"
        assert isinstance(answer, dict)
        assert answer["ok"] is False
        assert "cannot subscribe now" in str(answer["error"])
        assert client.channels == ()
        assert len(hub) == 0
        broker.fault = None
        broker.confirm.set()
        hub.subscribe(client, "c", "2")
        await settle()
        assert client.answers[-1] == ("2", OK0)

    on_hub(scenario, confirm_s=0.02)


def test_client_that_left_while_waiting_gets_nothing() -> None:
    async def scenario(hub: Hub, broker: SlowBroker, measures: Measures) -> None:
        gone, back_out = Client(), Client()
        hub.subscribe(gone, "c", "1")
        hub.subscribe(back_out, "c", "1")
        await settle()
        hub.leave(gone)
        assert hub.unsubscribe(back_out, "c") == 0
        broker.confirm.set()
        await settle()
        assert gone.answers == back_out.answers == [("1", wire.refused("unsubscribed meanwhile"))]
        hub.receive("collection:c", b'{"revision":1}')
        assert gone.written == back_out.written == []

    on_hub(scenario)


def test_collection_without_listeners_is_let_go_after_two_sweeps() -> None:
    async def scenario(hub: Hub, broker: SlowBroker, measures: Measures) -> None:
        broker.confirm.set()
        client = Client()
        hub.subscribe(client, "c", None)
        hub.subscribe(client, "d", None)
        await settle()
        hub.unsubscribe(client, "c")
        hub.sweep()
        hub.subscribe(client, "c", None)  # came back in time
        hub.unsubscribe(client, "c")
        hub.sweep()
        assert "-collection:c" not in broker.log
        hub.sweep()
        assert [line for line in broker.log if line[0] == "-"] == ["-collection:c"]
        assert len(hub) == 1

    on_hub(scenario)


def test_subscriptions_of_one_client_are_bounded_and_repeats_are_free() -> None:
    async def scenario(hub: Hub, broker: SlowBroker, measures: Measures) -> None:
        broker.confirm.set()
        client = Client()
        for name in "abc":
            hub.subscribe(client, name, None)
        await settle()
        hub.subscribe(client, "a", "again")
        hub.subscribe(client, "d", "over")
        assert client.answers[-2:] == [("again", OK0), ("over", wire.refused("at most 3 subscriptions per client"))]
        assert len(hub) == 3
        hub.leave(client)
        hub.receive("collection:b", b'{"revision":1}')
        assert client.written == []

    on_hub(scenario)


def test_clients_of_one_collection_share_their_tuple() -> None:
    async def scenario(hub: Hub, broker: SlowBroker, measures: Measures) -> None:
        one, two = Client(), Client()
        for client in (one, two):
            hub.subscribe(client, "c", None)
        assert one.channels is two.channels
        hub.subscribe(one, "d", None)
        hub.unsubscribe(one, "d")
        assert one.channels is two.channels

    on_hub(scenario)
