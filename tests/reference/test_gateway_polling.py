"""A client that polls, on fake transports: what the differential test cannot see from outside, and the bounds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from reference_gateway.gateway.server import Node
from reference_gateway.gateway.session import State

from .conftest import UPGRADE, FakeClient, masked
from .test_gateway_session import settle

Run = Callable[..., None]
OPEN = b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n"


def answers(data: bytes) -> list[tuple[int, bytes]]:
    """Split what a connection was sent into (status, body)."""
    found = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        found.append((int(head.split()[1]), data[:size]))
        data = data[size:]
    return found


class Poller:
    """A polling client; each request on a connection of its own unless given one."""

    def __init__(self, node: Node, client_of: type[FakeClient]) -> None:
        self.node = node
        self.client_of = client_of
        (status, body), *_ = self.ask(OPEN)
        assert status == 200
        self.sid = json.loads(body[1:])["sid"]
        self.mailbox = node.polling._mailboxes[self.sid.encode()]
        self.session = self.mailbox.session

    def ask(self, request: bytes, on: FakeClient | None = None) -> list[tuple[int, bytes]]:
        client = on or self.client_of(self.node)
        client.transport.session.data_received(request)
        return answers(client.took())

    def request(self, method: str, body: str = "") -> bytes:
        head = f"{method} /socket.io/?EIO=4&transport=polling&sid={self.sid} HTTP/1.1\r\nHost: x\r\n"
        return f"{head}Content-Length: {len(body.encode())}\r\n\r\n{body}".encode()

    def get(self, on: FakeClient | None = None) -> list[tuple[int, bytes]]:
        return self.ask(self.request("GET"), on)

    def post(self, body: str, on: FakeClient | None = None) -> list[tuple[int, bytes]]:
        return self.ask(self.request("POST", body), on)

    def join(self) -> Poller:
        assert self.post("40") == [(200, b"ok")]
        ((status, body),) = self.get()
        assert (status, body[:2]) == (200, b"40")
        return self

    def websocket(self) -> FakeClient:
        client = self.client_of(self.node)
        client.send(UPGRADE.replace(b"transport=websocket", f"transport=websocket&sid={self.sid}".encode()))
        assert client.took().startswith(b"HTTP/1.1 101 ")
        return client


def text(client: FakeClient, message: str) -> None:
    client.transport.session.data_received(masked(0x81, message.encode()))


def test_broadcast_reaches_a_poll_that_waits_and_one_that_comes_later(run_node: Run) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        poller = Poller(node, client_of).join()
        poller.post('420["subscribe",{"collection":"c-1"}]')
        await settle()
        assert poller.get() == [(200, b'430[{"ok":true,"revision":0}]')]
        waiting = client_of(node)
        assert poller.get(waiting) == []
        await node.broker.publish("collection:c-1", b'{"revision":1}')
        await node.broker.publish("collection:c-1", b'{"revision":2}')
        await node.broker.publish("collection:c-1", b'{"revision":3}')
        await settle()
        assert answers(waiting.took()) == [(200, b'42["revision",{"revision":1}]')]
        rest = b'42["revision",{"revision":2}]\x1e42["revision",{"revision":3}]'
        assert poller.get() == [(200, rest)]

    run_node(scenario)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_requests_on_a_kept_connection_chopped_anywhere_mean_the_same(run_node: Run, size: int) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        client = client_of(node)
        for at in range(0, len(OPEN), size):
            client.transport.session.data_received(OPEN[at : at + size])
        ((_, hello),) = answers(client.took())
        sid = json.loads(hello[1:])["sid"]
        target = f"/socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: x\r\n"
        chunked = f"POST {target}Transfer-Encoding: chunked\r\n\r\n1\r\n4\r\n1\r\n0\r\n0\r\n\r\n"
        for request, answer in ((chunked, b"ok"), (f"GET {target}\r\n", b"40{")):
            for at in range(0, len(request), size):
                client.transport.session.data_received(request[at : at + size].encode())
            ((status, body),) = answers(client.took())
            assert status == 200
            assert body.startswith(answer)
        client.transport.session.data_received(f"GET {target}Connection: close\r\n\r\n".encode())
        node.heartbeat.tick()
        (session,) = node.heartbeat
        session.ping()
        assert answers(client.took()) == [(200, b"2")]
        assert client.transport.closed

    run_node(scenario)


def test_next_request_before_the_answer_ends_connection_and_session(run_node: Run) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        poller = Poller(node, client_of).join()
        client = client_of(node)
        poller.get(client)
        poller.get(client)
        await settle()
        assert client.transport.aborted
        assert poller.session.state is State.CLOSED

    run_node(scenario)


def test_everything_is_given_back_when_sessions_end(run_node: Run) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        ways: list[Callable[[Poller], Any]] = [
            lambda poller: poller.post("1"),
            lambda poller: poller.post("4x"),
            lambda poller: poller.session.ping_timed_out(),
            lambda poller: (poller.get(), poller.get()),
            lambda poller: poller.session.close_timed_out(),
        ]
        for end in ways:
            poller = Poller(node, client_of).join()
            poller.post('42["subscribe",{"collection":"c-1"}]')
            await settle()
            end(poller)
            poller.get()
            for _ in range(200):
                node.heartbeat.tick()
            await settle()
            assert poller.session.state is State.CLOSED
            assert poller.get() == [(400, b'{"code": 1, "message": "Session ID unknown"}')]
        assert (node.connections, len(node.polling)) == (0, 0)
        assert not list(node.heartbeat)
        assert not any(channel.sessions for channel in node.hub._channels.values())

    run_node(scenario)


def test_slow_poller_is_dropped_and_what_waits_is_bounded(run_node: Run) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        poller = Poller(node, client_of).join()
        poller.post('42["subscribe",{"collection":"c-1"}]')
        await settle()
        for revision in range(20):
            await node.broker.publish("collection:c-1", b'{"revision":%d}' % revision)
            await settle()
        assert poller.session.closing
        assert poller.mailbox.get_write_buffer_size() < 300 + 200
        assert node.measures.slow_consumers == 1
        ((_, body),) = poller.get()
        assert body.endswith(b"\x1e1")

    run_node(scenario, queue_bytes=300)


def test_handshake_and_close_have_their_time(run_node: Run) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        poller = Poller(node, client_of)
        for _ in range(200):
            node.heartbeat.tick()
        assert poller.session.state >= State.CLOSING
        await settle()
        assert len(node.polling) == 0

    run_node(scenario, handshake_timeout_s=1, close_grace_s=1)


def test_full_and_draining_node_refuses_new_pollers_only(run_node: Run) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        poller = Poller(node, client_of).join()
        assert poller.ask(OPEN)[0][0] == 503
        waiting = client_of(node)
        poller.get(waiting)
        drain = asyncio.ensure_future(node.drain())
        await settle()
        assert poller.ask(OPEN)[0][0] == 503
        await drain
        assert answers(waiting.took()) == [(200, b"1")]

    run_node(scenario, max_connections=1)


@pytest.mark.parametrize("capacity", [False, True])
def test_admission_asks_once_per_session_not_once_per_poll(run_node: Run, capacity: bool) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        poller = Poller(node, client_of).join()
        refused = client_of(node)
        refused.send(OPEN)
        assert refused.took().startswith(b"HTTP/1.1 503 ")
        for _ in range(3):
            assert poller.post("3") == [(200, b"ok")]
        waiting = client_of(node)
        assert poller.get(waiting) == []
        assert not waiting.transport.closed

    run_node(scenario, admit_per_s=0.001, admit_burst=1.0)


def test_upgrade_moves_the_session_with_all_that_waits(run_node: Run) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        poller = Poller(node, client_of).join()
        poller.post('420["subscribe",{"collection":"c-1"}]')
        await settle()
        poller.get()
        client = poller.websocket()
        text(client, "2probe")
        assert client.took() == b"\x81\x063probe"
        await node.broker.publish("collection:c-1", b'{"revision":1}')
        await settle()
        client.transport.session.data_received(
            masked(0x81, b"5") + masked(0x81, b'421["unsubscribe",{"collection":"c-1"}]')
        )
        assert client.took_texts() == ['42["revision",{"revision":1}]', '431[{"ok":true,"revision":1}]']
        assert client.transport.session is poller.session
        assert (node.connections, len(node.polling), node.measures.upgrades) == (1, 0, 1)
        client.transport.close()
        await settle()
        assert node.connections == 0
        assert poller.get()[0][0] == 400

    run_node(scenario)


def test_upgrade_that_does_not_come_ends_and_the_poller_polls_on(run_node: Run) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        poller = Poller(node, client_of).join()
        client = poller.websocket()
        text(client, "2probe")
        client.took()
        await asyncio.sleep(0.15)
        assert client.took_frames()[-1][0] == 0x88
        poller.post('420["subscribe",{"collection":"c-1"}]')
        await settle()
        assert poller.get()[0][0] == 200
        again = poller.websocket()
        text(again, "2probe")
        assert again.took() == b"\x81\x063probe"
        again.transport.close()
        await settle()
        assert poller.session.state is State.JOINED

    run_node(scenario, handshake_timeout_s=0.1)


def test_connection_that_polled_may_become_the_websocket_or_ask_for_something_else(run_node: Run) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        client = client_of(node)
        poller = Poller(node, client_of)
        assert poller.post("40", client) == [(200, b"ok")]
        upgrade = UPGRADE.replace(b"transport=websocket", f"transport=websocket&sid={poller.sid}".encode())
        for at in range(0, len(upgrade), 50):
            client.transport.session.data_received(upgrade[at : at + 50])
        assert client.took().startswith(b"HTTP/1.1 101 ")
        text(client, "2probe")
        text(client, "5")
        assert client.transport.session is poller.session
        other = client_of(node)
        poller = Poller(node, client_of)
        poller.post("40", other)
        assert poller.ask(b"GET /healthz HTTP/1.1\r\n\r\n", other)[0][0] == 200
        assert other.transport.closed
        await settle()
        assert node.sockets == 4  # the upgraded one, a poller, and the connections of two handshakes

    run_node(scenario)


def test_end_of_the_session_ends_its_upgrade(run_node: Run) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        poller = Poller(node, client_of).join()
        client = poller.websocket()
        text(client, "2probe")
        client.took()
        poller.post("1")
        assert client.took_frames()[-1][0] == 0x88
        text(client, "5")
        assert client.transport.session is not poller.session

    run_node(scenario)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"POST /socket.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", None),
        (b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", 400),
        (b"GET /socket.io/?EIO=4&transport=pigeon HTTP/1.1\r\n\r\n", 400),
        (b"GET /socket.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nBad Header\r\n\r\n", None),
    ],
)
def test_hostile_request_costs_its_connection_only(run_node: Run, request_bytes: bytes, status: int | None) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        poller = Poller(node, client_of).join()
        client = client_of(node)
        first = b"POST /socket.io/?EIO=4&transport=polling&sid=none HTTP/1.1\r\nContent-Length: 1\r\n\r\n1"
        assert answers_of(client, first)[0][0] == 400
        data = request_bytes.replace(b"%s", poller.sid.encode())
        answered = answers_of(client, data)
        assert [each for each, _ in answered] == ([] if status is None else [status])
        if status is None and data.startswith(b"POST"):
            for _ in range(40):
                client.transport.session.data_received(b"x" * 100)
            assert len(client.transport.session._body) <= 1100
            return
        assert client.transport.closed
        assert poller.post("3") == [(200, b"ok")]

    run_node(scenario, max_message_bytes=1000)


def answers_of(client: FakeClient, data: bytes) -> list[tuple[int, bytes]]:
    client.transport.session.data_received(data)
    return answers(client.took())


def test_head_without_an_end_is_cut_on_a_kept_connection(run_node: Run) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        client = client_of(node)
        answers_of(client, OPEN)
        client.transport.session.data_received(b"GET / HTTP/1.1\r\nA: " + b"x" * 400)
        assert client.transport.aborted

    run_node(scenario, max_head_bytes=300)


def test_connection_that_is_silent_or_slow_is_cut_but_a_poll_may_wait(run_node: Run) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        poller = Poller(node, client_of).join()
        waiting, idle, slow = client_of(node), client_of(node), client_of(node)
        poller.get(waiting)
        poller.post("3", idle)
        slow.transport.session.data_received(poller.request("POST", "4")[:-1])
        await asyncio.sleep(0.15)
        assert idle.transport.aborted
        assert slow.transport.aborted
        await settle()
        assert answers(waiting.took()) == [(200, b"1")]  # a post that breaks off ends the session

    run_node(scenario, handshake_timeout_s=0.1)
