"""The foreign targets do what their first comment says; held against clients that the project did not write either."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import socketio
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from loadtest.errors import TargetUnreachableError
from loadtest.launch.probe import probe

pytestmark = pytest.mark.e2e


def test_socketio_target_acks_fans_out_and_drops(socketio_target, kernel_established) -> None:
    async def talk() -> None:
        clients = [socketio.AsyncClient(reconnection=False) for _ in range(3)]
        heard: asyncio.Queue = asyncio.Queue()
        gone = asyncio.Event()
        for client in clients:
            client.on("heard", heard.put)
            client.on("disconnect", lambda *_: gone.set())
            await client.connect(socketio_target.url, transports=["websocket"])
        acks = [await client.call("enter-room", "blue") for client in clients[:2]]
        assert acks == [(None, {"room": "blue", "members": 1}), (None, {"room": "blue", "members": 2})]
        assert await clients[0].call("enter-room", "") == "a room has a name"
        assert kernel_established(port=socketio_target.port) == 3
        assert kernel_established(port=socketio_target.port, pids=[os.getpid()]) == 3
        assert socketio_target.count() == {"sockets": 3, "rooms": {"blue": 2}}
        assert await clients[2].call("shout", {"to": "blue", "body": "hi"}) == (None, "shouted")
        messages = [await asyncio.wait_for(heard.get(), 5) for _ in range(2)]
        assert [(message["room"], message["body"]) for message in messages] == [("blue", "hi")] * 2
        assert heard.empty()
        socketio_target.drop()
        await asyncio.wait_for(gone.wait(), 5)
        for client in clients:
            await client.disconnect()

    asyncio.run(talk())


def test_socketio_target_takes_shouts_and_drops_by_http(socketio_target) -> None:
    async def talk() -> None:
        client, heard, gone = socketio.AsyncClient(reconnection=False), asyncio.Queue(), asyncio.Event()
        client.on("heard", heard.put, namespace="/private")
        client.on("disconnect", lambda *_: gone.set(), namespace="/private")
        with pytest.raises(socketio.exceptions.ConnectionError, match="/private"):
            await client.connect(socketio_target.url, transports=["websocket"], namespaces=["/private"])
        await client.disconnect()
        await client.connect(
            socketio_target.url, auth={"key": "letmein"}, transports=["websocket"], namespaces=["/private"]
        )
        request = urllib.request.Request(f"{socketio_target.http_url}/drop", data=b"", method="POST")
        answer = await asyncio.to_thread(lambda: urllib.request.urlopen(request, timeout=5).read())
        assert json.loads(answer) == {"dropped": 1}
        await asyncio.wait_for(gone.wait(), 5)
        await client.disconnect()

    asyncio.run(talk())


def test_websocket_target_joins_says_and_drops(websocket_target) -> None:
    async def talk() -> None:
        async with connect(f"{websocket_target.url}/feed") as one, connect(websocket_target.url) as two:
            for peer in (one, two):
                await peer.send('{"op": "join", "topic": "t"}')
                assert json.loads(await peer.recv()) == {"op": "joined", "topic": "t"}
            await one.send('{"op": "say", "topic": "t", "body": {"n": 1}}')
            for peer in (one, two):
                assert json.loads(await peer.recv()) == {"op": "said", "topic": "t", "body": {"n": 1}}
            await two.send("?")
            assert json.loads(await two.recv())["op"] == "error"
            assert websocket_target.count() == {"sockets": 2, "topics": {"t": 2}}
            websocket_target.drop()
            for peer in (one, two):
                with pytest.raises(ConnectionClosed) as closed:
                    await peer.recv()
                assert closed.value.rcvd.code == 1012

    asyncio.run(talk())


UPGRADE = (
    "GET /{} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
ACCEPTED = b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize(
    ("mode", "begins", "then"),
    [
        ("close", b"", "end"),
        ("reset", b"", "reset"),
        ("403", b"HTTP/1.1 403 ", "end"),
        ("503", b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\n", "end"),
        ("redirect", b"HTTP/1.1 302 ", "end"),
        ("garbage", b"\x00\xff\x13\x37", "end"),
        ("bad-accept", b"HTTP/1.1 101 ", "end"),
        ("never", b"", "silence"),
        ("slow-head", b"H", "silence"),
        ("silent", ACCEPTED + b"\r\n\r\n", "silence"),
        ("malformed", ACCEPTED + b"\r\n\r\n\xf3\x02hi", "silence"),
        ("oversize", ACCEPTED + b"\r\n\r\n\x82\x7f\0\0\1", "silence"),
        ("cut", ACCEPTED + b"\r\n\r\n\x81\x7e\x01\x00only", "end"),
        ("close-1013", ACCEPTED + b"\r\n\r\n\x88\x11\x03\xf5try", "end"),
        ("abrupt", ACCEPTED, "reset"),
    ],
)
def test_hostile_target_misbehaves_by_path(hostile_target, mode: str, begins: bytes, then: str) -> None:
    data, how = b"", "silence"
    with socket.create_connection(("127.0.0.1", hostile_target.port), timeout=5) as sock:
        sock.sendall(UPGRADE.format(f"socket.io/{mode}").encode())
        sock.settimeout(0.7)
        try:
            while chunk := sock.recv(65_536):
                data += chunk
            how = "end"
        except ConnectionResetError:
            how = "reset"
        except TimeoutError:
            how = "silence"
    assert how == then
    assert begins in data


def test_hostile_target_floods_the_head_and_stops_reading(hostile_target) -> None:
    with socket.create_connection(("127.0.0.1", hostile_target.port), timeout=5) as sock:
        sock.sendall(UPGRADE.format("huge-head").encode())
        data = b""
        while len(data) < 1_000_000:
            data += sock.recv(65_536)
        assert b"\r\n\r\n" not in data
    with socket.create_connection(("127.0.0.1", hostile_target.port), timeout=5) as sock:
        sock.sendall(UPGRADE.format("stop-reading").encode())
        assert ACCEPTED in sock.recv(4096)
        sock.settimeout(0.5)
        with pytest.raises(TimeoutError):
            sock.sendall(b"x" * 50_000_000)


def test_hostile_target_has_a_port_that_refuses(hostile_target) -> None:
    with pytest.raises(TargetUnreachableError, match="refused"):
        probe(f"ws://127.0.0.1:{hostile_target.said['refused_port']}/")


LEAVER = """
import subprocess

def test_clean(no_leftovers):
    subprocess.run(["true"], check=True)

def test_leaver(no_leftovers):
    subprocess.run(["setsid", "-f", "sleep", "61"], check=True)
"""


def test_no_leftovers_sees_a_detached_process_and_fails(tmp_path: Path) -> None:
    """Run the fixture in a pytest of its own, on a test that leaves something behind."""
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    (tmp_path / "test_inner.py").write_text(LEAVER)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=60,
    )
    assert "2 passed, 1 error" in done.stdout
    assert "left running: {" in done.stdout
    assert "sleep 61" in done.stdout
