"""What waits for the broker leaves in order, and again when another primary may not have it."""

from __future__ import annotations

import asyncio

import pytest

from reference_gateway.broker import BrokerError
from reference_gateway.services import outbox as outbox_module
from reference_gateway.services.outbox import Outbox


class Broker:
    def __init__(self):
        self.failovers = 0
        self.away = False
        self.has = []

    async def publish(self, channel, data):
        await asyncio.sleep(0)
        if self.away:
            raise BrokerError("away")
        self.has.append(int(data))


async def until(done):
    async with asyncio.timeout(5):
        while not done():
            await asyncio.sleep(0.005)


def run(scenario):
    async def body():
        broker = Broker()
        outbox = Outbox(broker)
        try:
            await scenario(broker, outbox)
        finally:
            await outbox.close()

    asyncio.run(body())


async def publish(outbox, *numbers):
    for number in numbers:
        await outbox.publish("c", b"%d" % number)


def test_messages_wait_for_a_broker_that_is_away_and_leave_in_order():
    async def scenario(broker, outbox):
        await publish(outbox, 1, 2)
        await until(lambda: broker.has == [1, 2])
        broker.away = True
        await publish(outbox, 3, 4)
        await asyncio.sleep(0.12)
        assert len(outbox) == 2
        broker.away = False
        await until(lambda: broker.has == [1, 2, 3, 4])

    run(scenario)


def test_another_primary_is_told_what_the_last_one_took_lately_before_anything_new():
    async def scenario(broker, outbox):
        await publish(outbox, 1, 2, 3)
        await until(lambda: len(broker.has) == 3)
        broker.has, broker.away, broker.failovers = [2], True, 1  # 3 had not reached the replica
        await publish(outbox, 4)
        await asyncio.sleep(0.06)
        broker.away = False
        await until(lambda: broker.has == [2, 1, 2, 3, 4])
        assert outbox.resent == 3

    run(scenario)


def test_too_many_are_refused(monkeypatch):
    monkeypatch.setattr(outbox_module, "MOST", 2)

    async def scenario(broker, outbox):
        broker.away = True
        await publish(outbox, 1, 2)
        with pytest.raises(BrokerError, match="2 messages wait"):
            await outbox.publish("c", b"3")

    run(scenario)
