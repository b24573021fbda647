"""A connection from its first byte to its last, on a fake transport: literal bytes in, literal bytes out."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from reference_gateway.gateway.server import Node
from reference_gateway.gateway.session import State

from .conftest import UPGRADE, FakeClient, masked

Run = Callable[..., None]
SUBSCRIBE = '42%s["subscribe",{"collection":"c-1"}]'


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def closed_with(client: FakeClient) -> int:
    """Return the code of the close frame, which is the last thing the client was sent."""
    first, payload = client.took_frames()[-1]
    assert first == 0x88
    assert client.session.state >= State.CLOSING
    return int.from_bytes(payload[:2], "big")


def test_handshake_to_ack_in_literal_bytes(run_node: Run) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        client = client_of(node)
        client.send(UPGRADE)
        head, _, rest = client.took().partition(b"\r\n\r\n")
        assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
        hello = json.loads(rest[rest.index(b"0{") + 1 :])
        assert hello["upgrades"] == []
        assert (hello["pingInterval"], hello["pingTimeout"], hello["maxPayload"]) == (25000, 20000, 1 << 20)
        client.send(masked(0x81, b'40{"client":"me"}'))
        assert client.took().startswith(b'\x81\x2040{"sid":"')
        assert client.session.client == "me"
        client.send(masked(0x81, b'420["subscribe",{"collection":"c-1"}]'))
        assert client.took() == b""  # the broker has not confirmed yet
        await settle()
        assert client.took() == b'\x81\x1d430[{"ok":true,"revision":0}]'
        await node.broker.publish("collection:c-1", b'{"revision":4}')
        await settle()
        assert client.took() == b'\x81\x1d42["revision",{"revision":4}]'

    run_node(scenario)


@pytest.mark.parametrize("size", [1, 7, 100])
def test_stream_chopped_anywhere_means_the_same(run_node: Run, size: int) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        client = client_of(node)
        stream = UPGRADE + masked(0x81, b"40") + masked(0x81, b'421["subscribe",{"collection":"c"}]')
        for at in range(0, len(stream), size):
            client.send(stream[at : at + size])
        await settle()
        _, _, rest = client.took().partition(b"\r\n\r\n")
        assert rest.count(b"\x81") == 3
        assert rest.endswith(b'431[{"ok":true,"revision":0}]')
        assert client.session.assembly is None

    run_node(scenario)


def test_everything_in_one_chunk_means_the_same(run_node: Run) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        client = client_of(node)
        client.send(UPGRADE + masked(0x81, b"40") + masked(0x81, (SUBSCRIBE % 1).encode()))
        await settle()
        assert client.took().endswith(b'431[{"ok":true,"revision":0}]')

    run_node(scenario)


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [("/healthz", 200, "connections"), ("/metrics", 200, None), ("/x", 404, None), ("/socket.io/?EIO=4", 400, "code")],
)
def test_http_request_is_answered_and_closed(run_node: Run, path: str, status: int, field: str | None) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        client = client_of(node)
        client.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head, _, body = client.took().partition(b"\r\n\r\n")
        assert int(head.split()[1]) == status
        assert f"Content-Length: {len(body)}\r\n".encode() in head
        if field is not None:
            assert field in json.loads(body)
        assert client.transport.closed
        await settle()
        assert client.session.state is State.CLOSED
        assert node.sockets == 0

    run_node(scenario)


def test_health_tells_draining(run_node: Run) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        alive, late, check = client_of(node).join(), client_of(node), client_of(node)
        drain = asyncio.ensure_future(node.drain())
        await settle()
        assert closed_with(alive) == 1001
        late.send(UPGRADE)
        assert late.took().startswith(b"HTTP/1.1 503 ")
        check.send(b"GET /healthz HTTP/1.1\r\n\r\n")
        head, _, body = check.took().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ")
        assert json.loads(body) == {
            "node": "gateway-1",
            "version": "bifrost-1",
            "pid": os.getpid(),
            "connections": 0,
            "draining": True,
            "broker_healthy": True,
            "load": 0.0,
            "cpu": 0.0,
            "memory": 0.0,
        }
        alive.send(masked(0x88, b"\x03\xe9"))
        assert alive.transport.closed
        await drain

    run_node(scenario)


def test_drain_is_paced(run_node: Run) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        clients = [client_of(node).join() for _ in range(40)]
        drain = asyncio.ensure_future(node.drain())
        await asyncio.sleep(0.05)  # of 0.2 s, between two steps
        told = sum(client.session.closing for client in clients)
        assert told < 20
        for client in clients:  # the rest goes by itself
            client.transport.close()
        await drain

    run_node(scenario, drain_s=0.2)


@pytest.mark.parametrize("head", [b"x" * 400, b"GET / HTTP/1.1\r\nA: " + b"x" * 400 + b"\r\n\r\n"])
def test_head_over_the_bound_is_refused(run_node: Run, head: bytes) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        for size in (len(head), 50):
            client = client_of(node)
            for at in range(0, len(head), size):
                client.send(head[at : at + size])
            assert client.took().startswith(b"HTTP/1.1 431 ")
            assert client.transport.closed

    run_node(scenario, max_head_bytes=300)


def test_full_node_refuses_upgrades_but_answers_health(run_node: Run) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        one, two, check = client_of(node).join(), client_of(node), client_of(node)
        two.send(UPGRADE)
        answer = two.took()
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 1\r\n" in answer
        check.send(b"GET /healthz HTTP/1.1\r\n\r\n")
        assert check.took().startswith(b"HTTP/1.1 200 ")
        one.transport.close()
        await settle()
        client_of(node).join()
        crowd = [client_of(node) for _ in range(200)]
        assert sum(client.transport.aborted for client in crowd) >= 200 - 128

    run_node(scenario, max_connections=1)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x02hi", 1002),
        (b"\xff\xff\xff\xff", 1002),
        (masked(0x82, b"binary"), 4009),
        (masked(0x81, b'451-["x",{"_placeholder":true,"num":1}]') + masked(0x82, b"b"), 4009),
        (masked(0x81, b'451-["x",{"_placeholder":true,"num":0}]') + masked(0x81, b'42["x"]'), 4009),
        (masked(0x81, b'4511-["x"]'), 4009),
        (masked(0x81, b"\xff\xfe"), 1007),
        (masked(0x81, b"4" + b"\xff" * 200), 1007),
        (b"\x81\xff\x00\x00\x00\x00\x00\x20\x00\x00", 1009),
        (masked(0x81, b""), 4009),
        (masked(0x81, b"2"), 4009),
        (masked(0x81, b"hello"), 4009),
        (masked(0x81, b"42"), 4009),
        (masked(0x81, b"451-[]"), 4009),
        (masked(0x81, b'42/admin,["x"]'), 4009),
        (masked(0x81, b"40"), 4009),
        (masked(0x88, b"\x03\xe8"), 1000),
        (masked(0x81, b"1"), 1000),
    ],
)
def test_bad_client_is_closed_with_the_right_code_and_others_live_on(run_node: Run, data: bytes, code: int) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        bad, good = client_of(node).join(), client_of(node).join()
        bad.send_text(SUBSCRIBE % "")
        await settle()
        bad.send(data)
        assert closed_with(bad) == code
        assert node.measures.closes[code] == 1
        bad.send(masked(0x81, b"40"))
        await node.broker.publish("collection:c-1", b'{"revision":1}')
        await settle()
        assert bad.took() == b""
        good.send_text(SUBSCRIBE % 2)
        await settle()
        assert good.took_texts() == ['432[{"ok":true,"revision":1}]']
        bad.send(masked(0x88, b""))
        await settle()
        assert bad.session.state is State.CLOSED
        assert (node.sockets, node.connections) == (1, 1)

    run_node(scenario)


def test_event_before_connect_is_a_protocol_error(run_node: Run) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        client = client_of(node)
        client.upgrade()
        client.send_text('42["subscribe",{"collection":"c"}]')
        assert closed_with(client) == 4009

    run_node(scenario)


def test_other_namespace_is_refused_and_the_connection_stays(run_node: Run) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        client = client_of(node)
        client.upgrade()
        client.send_text('40/admin,{"token":"x"}')
        assert client.took_texts() == ['44/admin,{"message":"Invalid namespace"}']
        client.send_text("40")
        assert client.took_texts()[0].startswith("40{")

    run_node(scenario)


def test_disconnect_leaves_the_collections_and_may_connect_again(run_node: Run) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        client = client_of(node).join()
        client.send_text(SUBSCRIBE % "")
        await settle()
        client.send_text("41")
        await node.broker.publish("collection:c-1", b'{"revision":1}')
        await settle()
        assert client.took() == b""
        client.send_text("40")
        assert client.took_texts()[0].startswith("40{")

    run_node(scenario)


def test_unsubscribe_ends_the_events(run_node: Run) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        client = client_of(node).join()
        client.send_text(SUBSCRIBE % 1)
        await settle()
        await node.broker.publish("collection:c-1", b'{"revision":8}')
        await settle()
        client.took()
        client.send_text('422["unsubscribe",{"collection":"c-1"}]')
        assert client.took_texts() == ['432[{"ok":true,"revision":8}]']
        await node.broker.publish("collection:c-1", b'{"revision":9}')
        await settle()
        assert client.took() == b""

    run_node(scenario)


@pytest.mark.parametrize("auth", ["", "{}", '{"client":7}', '{"client":""}', '{"client":"%s"}' % ("c" * 129)])
def test_client_without_a_usable_name_goes_by_its_session_id(run_node: Run, auth: str) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        assert len(client_of(node).join(auth).session.client) == 20

    run_node(scenario)


def test_bad_subscribe_is_answered_not_closed(run_node: Run) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        client = client_of(node).join()
        client.send_text('425["subscribe",{"collection":""}]')
        (answer,) = client.took_texts()
        assert json.loads(answer[3:]) == [{"ok": False, "error": "'collection' must have 1 to 128 characters, not 0"}]

    run_node(scenario)


def test_websocket_ping_is_answered_with_its_payload(run_node: Run) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        client = client_of(node).join()
        client.send(masked(0x89, b"now") + masked(0x8A, b"unasked"))
        assert client.took_frames() == [(0x8A, b"now")]

    run_node(scenario)


def test_slow_consumer_is_dropped_and_others_keep_receiving(run_node: Run) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        slow, fast = client_of(node).join(), client_of(node).join()
        for client in (slow, fast):
            client.send_text(SUBSCRIBE % "")
        await settle()
        slow.transport.reading = False
        for revision in range(20):
            await node.broker.publish("collection:c-1", b'{"revision":%d}' % revision)
            await settle()
        assert len(fast.took_frames()) == 20
        assert closed_with(slow) == 4008
        assert slow.transport.queued_bytes < 300 + 100
        assert node.measures.slow_consumers == 1
        slow.session.close_timed_out()
        assert slow.transport.aborted

    run_node(scenario, queue_bytes=300)


def test_time_ends_what_the_peer_does_not(run_node: Run) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        mute, unjoined, silent, answering = client_of(node), client_of(node), client_of(node), client_of(node)
        unjoined.upgrade()
        silent.join()
        answering.join()
        for _ in range(200):
            node.heartbeat.tick()
            await asyncio.sleep(0)
            if b"\x81\x012" in answering.took():
                answering.send_text("3")
        assert mute.transport.aborted
        assert mute.took() == b""
        assert closed_with(unjoined) == 4009
        assert closed_with(silent) == 4010
        assert unjoined.transport.aborted
        assert silent.transport.aborted
        assert answering.session.state is State.JOINED

    run_node(scenario, ping_interval_s=8, ping_timeout_s=12, handshake_timeout_s=10, close_grace_s=5)


def test_session_is_small_and_keeps_nothing(run_node: Run) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        session: Any = client_of(node).join().session
        assert not hasattr(session, "__dict__")
        assert session.assembly is None
        assert session.__sizeof__() <= 128

    run_node(scenario)
