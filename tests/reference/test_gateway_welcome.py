"""The welcome of a WebSocket: whoever comes with a known head is told what the first one was told."""

from __future__ import annotations

import json
from collections.abc import Callable

from reference_gateway.gateway.server import Node
from reference_gateway.gateway.session import State
from reference_gateway.gateway.settings import Settings
from reference_gateway.gateway.welcome import Welcome

from .conftest import UPGRADE, FakeClient, masked


def test_welcome_is_the_101_and_the_open_packet_in_literal_bytes() -> None:
    token, name = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "abcdefghijklmnopqrst"
    assert Welcome(Settings(ping_interval_s=300, ping_timeout_s=60, max_message_bytes=1000)).to(token, name) == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        b'\x81\x690{"sid":"abcdefghijklmnopqrst","upgrades":[],'
        b'"pingInterval":300000,"pingTimeout":60000,"maxPayload":1000}'
    )


def test_known_head_is_answered_as_the_first_with_a_name_of_its_own(run_node: Callable[..., None]) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        names, rests = set(), set()
        for _ in range(3):
            client = client_of(node)
            client.send(UPGRADE)
            answer = client.took()
            hello = json.loads(answer[answer.index(b"0{") + 1 :])
            names.add(hello["sid"])
            rests.add(answer.replace(hello["sid"].encode(), b""))
            assert client.session.state is State.OPEN
        assert (len(names), len(rests)) == (3, 1)
        assert node.connections == node.measures.sessions_opened == 3

    run_node(scenario)


def test_known_head_may_come_in_pieces_or_with_frames_behind_it(run_node: Callable[..., None]) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        client_of(node).upgrade()
        for chunks in ([UPGRADE[:30], UPGRADE[30:]], [UPGRADE + masked(0x81, b"40")]):
            client = client_of(node)
            for chunk in chunks:
                client.send(chunk)
            assert client.took().startswith(b"HTTP/1.1 101 ")
            assert client.session.assembly is None
        assert client.session.state is State.JOINED

    run_node(scenario)


def test_known_head_is_refused_by_a_node_that_is_full_or_drains(run_node: Callable[..., None]) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        client_of(node).upgrade()
        full, late = client_of(node), client_of(node)
        full.send(UPGRADE)
        assert full.took().startswith(b"HTTP/1.1 503 ")
        node.draining = True
        late.send(UPGRADE)
        assert late.took().startswith(b"HTTP/1.1 503 ")
        assert (node.measures.rejected["full"], node.measures.rejected["draining"]) == (1, 1)

    run_node(scenario, max_connections=1)
