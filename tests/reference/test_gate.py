"""The gate: other requests pass, clients wait their turn, whoever gives up is forgotten. On fake transports."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from reference_gateway.errors import SettingError
from reference_gateway.gate import Capacity, Gatehouse, read_capacity

REQUEST = b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n\r\n"


class Transport(asyncio.Transport):
    def __init__(self):
        super().__init__()
        self.protocol = None
        self.aborted = False
        self.written = b""

    def write(self, data):
        self.written += data

    def close(self):
        self.aborted = True

    def set_protocol(self, protocol):
        self.protocol = protocol

    def is_closing(self):
        return self.aborted

    def abort(self):
        self.aborted = True


class Inner(asyncio.Protocol):
    def __init__(self):
        self.received = b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.received += data


def connect(house):
    transport = Transport()
    gate = house.gate(Inner)
    gate.connection_made(transport)
    return gate, transport


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


def test_client_is_handed_over_with_all_it_sent_once_its_stages_are_done():
    async def scenario():
        house = Gatehouse(Capacity(per_s=50.0), lambda: 0, Random(1))
        gate, transport = connect(house)
        gate.data_received(REQUEST[:5])
        assert len(house.workshop) == 0
        gate.data_received(REQUEST[5:])
        assert len(house.workshop) == 1
        gate.data_received(b"early")
        await until(lambda: transport.protocol)
        assert transport.protocol.received == REQUEST + b"early"
        assert transport.protocol.transport is transport
        assert len(house.workshop) == 0

    asyncio.run(scenario())


def test_health_check_passes_at_once():
    async def scenario():
        house = Gatehouse(Capacity(per_s=0.001), lambda: 0)
        gate, transport = connect(house)
        gate.data_received(b"GET /healthz HTTP/1.1\r\n\r\n")
        assert transport.protocol.received.startswith(b"GET /healthz")

    asyncio.run(scenario())


def test_who_gives_up_is_forgotten_and_who_floods_is_cut():
    async def scenario():
        house = Gatehouse(Capacity(per_s=0.001), lambda: 0)
        gate, _ = connect(house)
        gate.data_received(REQUEST)
        gate.connection_lost(None)
        assert len(house.workshop) == 0
        flood, transport = connect(house)
        flood.data_received(REQUEST)
        flood.data_received(bytes(70_000))
        assert transport.aborted

    asyncio.run(scenario())


def test_who_is_refused_gets_a_last_answer_and_is_never_in_hand():
    async def scenario():
        in_hand = []
        house = Gatehouse(
            Capacity(per_s=0.001), lambda: 0, refuse=lambda now: in_hand.append(now) or (b"no" * now or None)
        )
        connect(house)[0].data_received(REQUEST)
        gate, transport = connect(house)
        gate.data_received(REQUEST)
        assert in_hand == [0, 1]
        assert transport.written == b"no"
        assert transport.is_closing()
        assert len(house.workshop) == 1

    asyncio.run(scenario())


def test_silent_client_is_cut(monkeypatch):
    monkeypatch.setattr("reference_gateway.gate._SILENCE_S", 0.01)

    async def scenario():
        _, transport = connect(Gatehouse(Capacity(per_s=1.0), lambda: 0))
        await until(lambda: transport.aborted)

    asyncio.run(scenario())


def test_capacity_is_read_and_bad_one_named():
    assert read_capacity({}) == Capacity(0.0, 4, 0.0)
    assert read_capacity({"RG_CAPACITY": "32", "RG_HANDSHAKE_STAGES": "2", "RG_HELD_COST": "0.01"}) == Capacity(
        32, 2, 0.01
    )
    with pytest.raises(SettingError, match="RG_HANDSHAKE_STAGES"):
        read_capacity({"RG_HANDSHAKE_STAGES": "0"})
