"""A real node process with a real Valkey, a small HTTP API in the test, and the client library people use."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import socketio
from aiohttp import web

from reference_gateway import wire
from reference_gateway.broker import RedisBroker

from .conftest import UPGRADE, ValkeyProcess, masked

pytestmark = pytest.mark.e2e


class NodeProcess:
    """`python -m reference_gateway.gateway` on a free port."""

    def __init__(self, **env: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 - closed in stop
        self.process = subprocess.Popen(
            [sys.executable, "-m", "reference_gateway.gateway"],
            env={**os.environ, "RG_PORT": str(self.port), **env},
            stderr=self.log,
        )
        deadline_s = time.monotonic() + 15
        while self.get("/healthz")[0] != 200:
            assert self.process.poll() is None, self.logged()
            assert time.monotonic() < deadline_s, self.logged()
            time.sleep(0.02)

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, name: str) -> int:
        (line,) = [line for line in self.get("/metrics")[1].splitlines() if line.startswith(name + "{")]
        return int(line.rpartition(" ")[2])

    def logged(self) -> str:
        self.log.seek(0)
        return self.log.read().decode()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.log.close()


class RawClient:
    """A WebSocket client of literal bytes on a blocking socket."""

    def __init__(self, port: int, receive_buffer_bytes: int = 0) -> None:
        self.socket = socket.socket()
        if receive_buffer_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.socket.settimeout(10)
        self.socket.connect(("127.0.0.1", port))
        self.buffer = b""

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def join(self, collection: str = "") -> RawClient:
        self.socket.sendall(UPGRADE)
        while b"\r\n\r\n" not in self.buffer:
            self._receive()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        assert self.frame()[1].startswith(b"0{")
        self.text("40")
        assert self.frame()[1].startswith(b"40{")
        if collection:
            self.text("420" + json.dumps(["subscribe", {"collection": collection}]))
            assert b'"ok":true' in self.frame()[1]
        return self

    def text(self, text: str) -> None:
        self.socket.sendall(masked(0x81, text.encode()))

    def frame(self) -> tuple[int, bytes]:
        while len(self.buffer) < 2:
            self._receive()
        size, start = self.buffer[1], 2
        if size >= 126:
            width = 2 if size == 126 else 8
            while len(self.buffer) < 2 + width:
                self._receive()
            size, start = int.from_bytes(self.buffer[2 : 2 + width], "big"), 2 + width
        while len(self.buffer) < start + size:
            self._receive()
        first, payload = self.buffer[0], self.buffer[start : start + size]
        self.buffer = self.buffer[start + size :]
        return first, payload

    def close_code(self) -> int:
        """Read on to the close frame, return its code, answer it and see the connection end."""
        while True:
            first, payload = self.frame()
            if first == 0x88:
                break
        self.socket.sendall(masked(0x88, payload[:2]))
        assert self.socket.recv(1) == b""
        return int.from_bytes(payload[:2], "big")

    def _receive(self) -> None:
        data = self.socket.recv(1 << 16)
        assert data, "the connection ended"
        self.buffer += data


StartNode = Callable[..., NodeProcess]


@pytest.fixture
def start_node(valkey: ValkeyProcess) -> Iterator[StartNode]:
    nodes: list[NodeProcess] = []

    def start(**env: str) -> NodeProcess:
        node = NodeProcess(**{"REDIS_URL": valkey.url, "RG_API_URL": "http://127.0.0.1:9", **env})
        nodes.append(node)
        return node

    yield start
    for node in nodes:
        node.stop()


@asynccontextmanager
async def small_api(broker_url: str) -> AsyncIterator[str]:
    """Do what API and collections service do: number the edit, publish it, answer."""
    broker, revisions = RedisBroker(broker_url), {"last": 12}

    async def messages(request: web.Request) -> web.Response:
        body = await request.json()
        if body["event"] != wire.EDIT:
            return web.json_response({"args": [wire.refused(f"unknown event {body['event']!r} of {body['client']}")]})
        edit = wire.edit_of(body["args"])
        revisions["last"] += 1
        revision = {**edit._asdict(), "revision": revisions["last"]}
        await broker.publish(wire.channel_of(edit.collection), json.dumps(revision).encode())
        return web.json_response({"args": [wire.accepted(revisions["last"])]})

    app = web.Application()
    app.router.add_post("/v1/messages", messages)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
        await broker.close()


def in_time(body: Awaitable[None], within_s: float = 30) -> None:
    async def limited() -> None:
        async with asyncio.timeout(within_s):
            await body

    asyncio.run(limited())


def publish(url: str, collection: str, count: int, text: str) -> None:
    async def body() -> None:
        broker = RedisBroker(url)
        for revision in range(1, count + 1):
            data = {"collection": collection, "revision": revision, "parameter": "url", "text": text}
            await broker.publish(wire.channel_of(collection), json.dumps(data).encode())
        await broker.close()

    in_time(body())


@pytest.mark.parametrize(
    ("transports", "uses"),
    [(None, "websocket"), (["polling"], "polling"), (["websocket"], "websocket")],  # left to itself it upgrades
)
def test_client_library_connects_subscribes_edits_and_hears(
    valkey: ValkeyProcess, start_node: StartNode, transports: list[str] | None, uses: str
) -> None:
    async def body() -> None:
        async with small_api(valkey.url) as api_url:
            one = await asyncio.to_thread(lambda: start_node(RG_API_URL=api_url, RG_NODE="gateway-1"))
            two = await asyncio.to_thread(lambda: start_node(RG_API_URL=api_url, RG_NODE="gateway-2"))
            heard: asyncio.Queue[Any] = asyncio.Queue()
            viewer, editor = socketio.AsyncClient(), socketio.AsyncClient()
            viewer.on("revision", heard.put)
            await viewer.connect(f"http://127.0.0.1:{one.port}", transports=["websocket"])
            await editor.connect(f"http://127.0.0.1:{two.port}", transports=transports, auth={"client": "ed"})
            assert editor.transport() == uses
            assert await viewer.call("subscribe", {"collection": "c-1"}) == {"ok": True, "revision": 0}
            for n in (13, 14):
                edit = {"collection": "c-1", "parameter": "url", "text": f"ü{n}" * 200}
                assert await editor.call("edit", edit) == {"ok": True, "revision": n}
                assert await heard.get() == {**edit, "revision": n}
            assert await editor.call("dance", {}) == {"ok": False, "error": "unknown event 'dance' of ed"}
            assert await viewer.call("unsubscribe", {"collection": "c-1"}) == {"ok": True, "revision": 14}
            await viewer.disconnect()
            await editor.disconnect()

    in_time(body())


def test_bad_clients_are_closed_with_their_code_while_others_live_on(
    valkey: ValkeyProcess, start_node: StartNode
) -> None:
    node = start_node(RG_MAX_MESSAGE_BYTES="1000")
    with RawClient(node.port).join("c-1") as good:
        for data, code in [
            (b"\xff\xfe\xfd\xfc garbage", 1002),
            (b"\x81\x02hi", 1002),
            (masked(0x81, b"4" * 1001), 1009),
            (masked(0x81, b"9"), 4009),
        ]:
            with RawClient(node.port).join("c-1") as bad:
                bad.socket.sendall(data)
                assert bad.close_code() == code
        publish(valkey.url, "c-1", 1, "still here")
        assert b"still here" in good.frame()[1]
    assert node.metric("rg_broadcasts_total") == 1


def test_slow_reader_is_dropped_while_others_keep_receiving(valkey: ValkeyProcess, start_node: StartNode) -> None:
    node = start_node(RG_QUEUE_BYTES="65536", RG_CLOSE_GRACE_S="10")
    with RawClient(node.port, receive_buffer_bytes=4096).join("c-1") as slow, RawClient(node.port).join("c-1") as fast:
        sent = 0
        while node.metric("rg_slow_consumers_total") == 0:
            publish(valkey.url, "c-1", 20, "x" * 50_000)
            for _ in range(20):
                assert fast.frame()[0] == 0x81
            sent += 20
            assert sent < 2000, "the kernel takes everything"
        publish(valkey.url, "c-1", 1, "the end")
        assert b"the end" in fast.frame()[1]
        assert slow.close_code() == 4008
        assert node.metric("rg_slow_consumers_total") == 1


def test_slow_reader_that_never_reads_is_cut_off_after_the_grace(valkey: ValkeyProcess, start_node: StartNode) -> None:
    node = start_node(RG_QUEUE_BYTES="65536", RG_CLOSE_GRACE_S="0.2")
    with RawClient(node.port, receive_buffer_bytes=4096).join("c-1"):
        while node.metric("rg_slow_consumers_total") == 0:
            publish(valkey.url, "c-1", 50, "x" * 50_000)
        deadline_s = time.monotonic() + 10
        while node.metric("rg_sockets") > 1:  # the metrics request itself
            assert time.monotonic() < deadline_s
            time.sleep(0.02)


def test_silent_client_is_closed_and_an_answering_one_stays(start_node: StartNode) -> None:
    node = start_node(RG_PING_INTERVAL_S="0.2", RG_PING_TIMEOUT_S="0.2")
    with RawClient(node.port).join() as silent, RawClient(node.port).join() as answering:
        for _ in range(5):
            assert answering.frame() == (0x81, b"2")
            answering.text("3")
        assert silent.close_code() == 4010
        assert node.metric("rg_connections") == 1


def test_pings_go_on_after_the_node_was_late(start_node: StartNode) -> None:
    node = start_node(RG_PING_INTERVAL_S="0.2", RG_PING_TIMEOUT_S="5")
    with RawClient(node.port).join() as client:
        for _ in range(3):
            node.process.send_signal(signal.SIGSTOP)
            time.sleep(0.2)  # eight ticks late: the next one is due at once
            node.process.send_signal(signal.SIGCONT)
            for _ in range(2):
                assert client.frame() == (0x81, b"2")
                client.text("3")


@pytest.mark.parametrize(("drain_s", "rest_s"), [(0.0, 0.0), (0.6, 0.0), (0.0, 0.01), (0.6, 0.01)])
def test_sigterm_tells_everyone_1001_and_exits(start_node: StartNode, drain_s: float, rest_s: float) -> None:
    node = start_node(RG_DRAIN_SECONDS=str(drain_s), RG_REST_S=str(rest_s))
    clients = [RawClient(node.port).join("c-1") for _ in range(50)]
    mute = socket.create_connection(("127.0.0.1", node.port))
    start_s = time.monotonic()
    node.process.send_signal(signal.SIGTERM)
    # Nobody knows the order of a paced drain: everyone reads until told.
    for client in clients:
        assert client.close_code() == 1001
        client.socket.close()
    took_s = time.monotonic() - start_s
    assert took_s >= drain_s * 0.8
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", node.port))
    assert node.process.wait(timeout=drain_s + 2) == 0
    assert time.monotonic() - start_s < drain_s + 1.5
    mute.close()


def test_sigterm_does_not_wait_for_clients_that_do_not_answer(start_node: StartNode) -> None:
    node = start_node()
    with RawClient(node.port).join() as client:
        node.process.send_signal(signal.SIGTERM)
        assert node.process.wait(timeout=2) == 0
        first, payload = client.frame()
        assert (first, payload[:2]) == (0x88, b"\x03\xe9")


def test_broker_outage_leaves_sockets_and_heals(valkey: ValkeyProcess, start_node: StartNode) -> None:
    node = start_node(RG_SUBSCRIBE_TIMEOUT_S="0.3")
    with RawClient(node.port).join("c-1") as client:
        valkey.stop()
        while json.loads(node.get("/healthz")[1])["broker_healthy"]:
            time.sleep(0.02)
        assert node.get("/healthz")[0] == 200
        client.text('421["subscribe",{"collection":"c-new"}]')
        assert b'"ok":false' in client.frame()[1]
        valkey.start()
        while not json.loads(node.get("/healthz")[1])["broker_healthy"]:
            time.sleep(0.02)
        publish(valkey.url, "c-1", 1, "back")
        assert b"back" in client.frame()[1]
        client.text('421["subscribe",{"collection":"c-new"}]')
        assert b'"ok":true' in client.frame()[1]


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"RG_PORT": ""}, "RG_PORT"),
        ({"RG_PORT": "0", "RG_API_URL": "http://x", "REDIS_URL": "nats://x"}, "no broker for scheme 'nats'"),
    ],
)
def test_node_that_cannot_start_says_why_and_exits_2(env: dict[str, str], said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "reference_gateway.gateway"],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_port_in_use_is_said(start_node: StartNode) -> None:
    node = start_node()
    done = subprocess.run(
        [sys.executable, "-m", "reference_gateway.gateway"],
        env={**os.environ, "RG_PORT": str(node.port), "RG_API_URL": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 2
    assert f"port {node.port}" in done.stderr


def test_node_at_its_limit_of_open_files_refuses_counts_and_lives(start_node: StartNode) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (400, hard))
    try:
        node = start_node()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    room, sockets, answers = 400 - 256, [], Counter[bytes]()
    node.process.send_signal(signal.SIGSTOP)  # so that all are in the queue when it accepts the first
    try:
        for _ in range(900):
            sockets.append(socket.create_connection(("127.0.0.1", node.port), 10))
            sockets[-1].sendall(UPGRADE)
    finally:
        node.process.send_signal(signal.SIGCONT)
    for one in sockets:
        answers[one.recv(12)] += 1
    assert answers == {b"HTTP/1.1 101": room, b"HTTP/1.1 503": 900 - room}
    assert node.get("/healthz")[0] == 200
    assert node.metric("rg_rejected_total") == 900 - room
    for one in sockets:
        one.close()
    deadline_s = time.monotonic() + 5
    while node.metric("rg_connections"):
        assert time.monotonic() < deadline_s
    with RawClient(node.port) as client:
        client.join("c-1")
