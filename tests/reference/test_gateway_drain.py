"""How long a node takes to say goodbye: its setting, or what a deploy left in the drain file."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from reference_gateway import wire
from reference_gateway.gateway.drain import DrainOrder, due, read_order
from reference_gateway.gateway.server import Node
from reference_gateway.gateway.settings import Settings

from .conftest import FakeClient, masked


@pytest.mark.parametrize(
    ("content", "seconds"),
    [
        (None, 3.0),
        ('{"seconds": 0.5}', 0.5),
        ('{"seconds": 0}', 0.0),
        ("soon", 3.0),
        ("7", 3.0),
        ('{"seconds": "NaN"}', 3.0),
        ('{"seconds": -1}', 0.0),
    ],
)
def test_drain_file_counts_before_the_setting_when_it_holds_seconds(
    tmp_path: Path, content: str | None, seconds: float
) -> None:
    file = tmp_path / "drain"
    if content is not None:
        file.write_text(content)

    settings = replace(Settings(), drain_s=3.0, drain_file=str(file))
    assert read_order(str(file)).over_s(settings, clients=100) == seconds


@pytest.mark.parametrize(("content", "seconds"), [('{"seconds": 0}', 0.5), ('{"seconds": 2}', 2.0), (None, 0.0)])
def test_pace_of_the_version_counts_in_a_deploy_that_names_no_seconds(
    tmp_path: Path, content: str | None, seconds: float
) -> None:
    file = tmp_path / "drain"
    if content is not None:
        file.write_text(content)

    settings = replace(Settings(), drain_per_s=200.0, drain_file=str(file))
    assert read_order(str(file)).over_s(settings, clients=100) == seconds


def test_no_more_clients_are_closed_than_the_pace_allows_however_few_they_are() -> None:
    closed = [due(8, step / 50, 2.0) for step in range(101)]
    assert all(count <= 1 + 4 * step / 50 for step, count in enumerate(closed))
    assert (closed[0], closed[50], closed[-1]) == (1, 5, 8)
    assert due(8, 0.0, 0.0) == 8


@pytest.mark.parametrize(
    ("order", "code", "meaning"),
    [
        (DrainOrder(), 1001, wire.GOING_AWAY.meaning),
        (DrainOrder(code=1012), 1012, wire.GOING_AWAY.meaning),
        (DrainOrder(code=1012, retry_after_s=0.0), 1012, "retry-after=0.000"),
        (DrainOrder(retry_after_s=0.0), 4013, "retry-after=0.000"),
    ],
)
def test_close_says_what_was_ordered_or_else_what_the_node_would_say(
    order: DrainOrder, code: int, meaning: str
) -> None:
    close = order.farewell(lambda: wire.GOING_AWAY, Random(1))
    assert (close.code, close.meaning, close.reconnect) == (code, meaning, True)


def test_ordered_hints_are_spread_over_the_time_given() -> None:
    order, rng = DrainOrder(retry_after_s=10.0), Random(7)
    told = [float(order.farewell(lambda: wire.GOING_AWAY, rng).meaning.split("=")[1]) for _ in range(400)]
    assert max(told) <= 10
    assert sum(told) / len(told) == pytest.approx(5, abs=0.5)


def test_drained_clients_are_told_to_come_back_one_after_the_other(run_node: Callable[..., None]) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        clients = [client_of(node).join() for _ in range(5)]
        drain = asyncio.ensure_future(node.drain())
        await asyncio.sleep(0)
        waits = []
        for client in clients:
            ((first, payload),) = client.took_frames()
            assert (first, payload[:2]) == (0x88, (4013).to_bytes(2, "big"))
            told = payload[2:].decode()
            assert told.startswith("retry-after=")
            waits.append(float(told.removeprefix("retry-after=")))
            client.transport.close()
        await drain
        assert sorted(waits) == pytest.approx([0.05, 0.15, 0.25, 0.35, 0.45], abs=0.02)

    run_node(scenario, admit_per_s=10 / 0.9, admit_burst=5, admit_concurrent=10, retry_slots=True)


def test_connection_ends_with_a_slot_when_its_time_is_over(run_node: Callable[..., None]) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        clients = [client_of(node).join() for _ in range(40)]
        pings = dict.fromkeys(clients, 0)
        ended = []
        while len(ended) < len(clients):
            node.heartbeat.tick()
            for client in clients:
                for first, payload in client.took_frames():
                    if first == 0x88:
                        assert payload[:2] == (4013).to_bytes(2, "big")
                        ended.append(pings[client])
                    else:
                        pings[client] += 1
                        client.send_text("3")
        assert min(ended) >= 4
        assert max(ended) <= 15
        assert len(set(ended)) > 5

    run_node(scenario, lifetime_s=10, ping_interval_s=1, admit_per_s=1000, retry_slots=True)


class Calls:
    """Stands in for the upstream: writes down what it is to carry out."""

    in_flight = 0

    def __init__(self) -> None:
        self.taken: list[tuple[str, object, str | None]] = []

    def submit(self, _session: object, event: str, args: list[object], ack: str | None) -> None:
        self.taken.append((event, args[0], ack))

    async def settle(self) -> None: ...

    async def close(self) -> None: ...


def test_what_a_client_said_before_it_heard_of_the_close_is_carried_out_and_not_answered(
    run_node: Callable[..., None],
) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        await node.upstream.close()
        calls = node.upstream = Calls()  # type: ignore[assignment]
        client, bad = client_of(node).join(), client_of(node).join()
        drain = asyncio.ensure_future(node.drain())
        await asyncio.sleep(0.01)
        client.took(), bad.took()
        client.send(masked(0x81, b'421["edit",{"text":"a"}]')[:9])
        client.send(masked(0x81, b'421["edit",{"text":"a"}]')[9:] + masked(0x81, b'42["edit",{"text":"b"}]'))
        client.send_text('422["subscribe",{"collection":"c"}]')
        client.send_text("3")
        assert calls.taken == [("edit", {"text": "a"}, None), ("edit", {"text": "b"}, None)]
        assert not client.took()
        client.send(masked(0x88, b"\x03\xe8"))
        bad.send(masked(0x81, b"42[nonsense"))
        assert client.transport.closed
        assert bad.transport.aborted
        await drain

    run_node(scenario)


def test_calls_under_way_are_waited_for_at_the_end_of_a_drain(run_node: Callable[..., None]) -> None:
    async def scenario(node: Node, _client_of: type[FakeClient]) -> None:
        node.upstream.in_flight = 1
        drain = asyncio.ensure_future(node.drain())
        await asyncio.sleep(0.05)
        assert not drain.done()
        node.upstream.in_flight = 0
        await asyncio.wait_for(drain, 1)

    run_node(scenario)


@pytest.mark.parametrize("slots", [True, False])
def test_client_that_joins_a_draining_node_is_told_in_the_error_when_to_come_back(
    run_node: Callable[..., None], slots: bool
) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        clients = [client_of(node) for _ in range(2)]
        for one in clients:
            one.upgrade()
        drain = asyncio.ensure_future(node.drain())
        await asyncio.sleep(0)
        (client,) = [one for one in clients if not one.session.closing]
        client.send_text("40")
        (text,) = [payload.decode() for kind, payload in client.took_frames() if kind == 0x81]
        if slots:
            refusal = json.loads(text.removeprefix("44"))
            assert refusal["message"] == "this node is being deployed"
            assert 0.05 <= refusal["data"]["retry_after_s"] < 1
        else:
            assert text.startswith('40{"sid"')
        for one in clients:
            one.transport.close()
        await drain

    run_node(scenario, drain_s=0.2, admit_per_s=100, retry_slots=slots)
