"""The other side of a herd under test: clients to play, listeners to reach, a small Socket.IO server, and its bytes.

    herd --loopback--> Server.step(): accept, wsproto (an independent codec), Engine.IO and Socket.IO by hand

Law: nothing here uses `loadtest.protocol`, runs a thread or sleeps; waiting is `select` on what can happen, bounded.
"""

from __future__ import annotations

import re
import select
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import wsproto
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Ping, Pong, Request, TextMessage

from loadtest.herd.sockets import Target

RUN = "0badcafe"


def frame(first: int, payload: bytes = b"") -> bytes:
    """Write one unmasked frame, as a server does; `first` is its first byte (0x81: a whole text)."""
    size = len(payload)
    if size < 126:
        return bytes([first, size]) + payload
    if size < 65_536:
        return bytes([first, 126]) + struct.pack(">H", size) + payload
    return bytes([first, 127]) + struct.pack(">Q", size) + payload


def text(content: str) -> bytes:
    return frame(0x81, content.encode())


def close(code: int) -> bytes:
    return frame(0x88, struct.pack(">H", code))


def marker(seq: int, *, channel: int = 0, run: str = RUN, sched_ns: int = 1_000_000_000, late_ns: int = 0) -> str:
    return f"lt1.{run}.{channel}.0.{seq}.{sched_ns}.{late_ns}"


def revision(seq: int, **where: object) -> str:
    """Return the Socket.IO packet that delivers message `seq`."""
    return f'42["revision",{{"text":"{marker(seq, **where)}"}}]'  # type: ignore[arg-type]


class FewClients:
    """Implement `Clients`: client i is in channel `channel_of(i)` of each group."""

    def __init__(self, groups: Sequence[Callable[[int], int]] = (lambda index: 0,), channels: int = 2) -> None:
        self._groups = groups
        self._channels = channels

    @property
    def groups(self) -> int:
        return len(self._groups)

    def variables(self, index: int) -> Mapping[str, object]:
        return {"index": str(index), "client": f"c{index}"}

    def channels(self, index: int) -> Sequence[int]:
        return [group(index) for group in self._groups]

    def channel_name(self, channel: int) -> str:
        return f"room-{channel}"

    def upgrade(self, target: Target, variables: Mapping[str, object], key: bytes) -> bytes:
        return (
            f"GET {target.path} HTTP/1.1\r\nHost: {target.host_header}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key.decode()}\r\nSec-WebSocket-Version: 13\r\nX-Client: {variables['client']}\r\n\r\n"
        ).encode()


def listen(host: str = "127.0.0.1", port: int = 0, backlog: int = 128) -> socket.socket:
    """Return a non-blocking listener on a free port."""
    server = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((host, port))
    server.listen(backlog)
    server.setblocking(False)
    return server


def accept(server: socket.socket) -> socket.socket:
    """Return the next connection, blocking with a limit."""
    assert select.select([server], [], [], 2.0)[0], "nobody connects"
    peer, _ = server.accept()
    peer.settimeout(2.0)
    return peer


def reset(peer: socket.socket) -> None:
    """Close with a RST."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


@dataclass
class Habits:
    """How the server behaves; each may be changed while it runs."""

    upgrades: bool = True
    opens: bool = True
    joins: bool = True
    acks: bool = True
    ack: str = '[{"ok":true}]'
    interval_ms: int = 25_000
    timeout_ms: int = 20_000
    raw: bytes | None = None
    """Sent as it stands to everybody who connects, instead of all the rest."""


@dataclass(eq=False)
class Peer:
    """One connection, seen from the server."""

    sock: socket.socket
    ws: wsproto.WSConnection
    heard: list[str] = field(default_factory=list)
    closed_with: int | None = None

    def say(self, *packets: str) -> None:
        """Send packets as whole text frames, all in one write."""
        self.raw(b"".join(text(packet) for packet in packets))

    def raw(self, data: bytes) -> None:
        self.sock.sendall(data)

    def fin(self) -> None:
        self.sock.close()

    def half_close(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def rst(self) -> None:
        reset(self.sock)


class Server:
    """A Socket.IO server that is stepped by the test."""

    def __init__(self) -> None:
        self.habits = Habits()
        self.peers: list[Peer] = []
        self.requests: list[str] = []
        self.arrivals = 0
        self._listener = listen()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._listener.getsockname()[1]}/socket.io/"

    @property
    def readables(self) -> list[socket.socket]:
        return [self._listener, *(peer.sock for peer in self.peers)]

    def stop(self) -> None:
        for peer in self.peers:
            peer.sock.close()
        self._listener.close()

    def step(self) -> None:
        """Do everything that can be done now."""
        self.peers = [peer for peer in self.peers if peer.sock.fileno() >= 0]
        for sock in select.select(self.readables, [], [], 0)[0]:
            if sock is self._listener:
                self._accept()
        for peer in list(self.peers):
            self._read(peer)

    def _accept(self) -> None:
        while select.select([self._listener], [], [], 0)[0]:
            sock, _ = self._listener.accept()
            sock.settimeout(2.0)
            self.arrivals += 1
            self.peers.append(Peer(sock, wsproto.WSConnection(wsproto.ConnectionType.SERVER)))
            if self.habits.raw is not None:
                sock.sendall(self.habits.raw)

    def _read(self, peer: Peer) -> None:
        while peer.sock.fileno() >= 0 and select.select([peer.sock], [], [], 0)[0]:
            try:
                data = peer.sock.recv(65_536)
            except ConnectionResetError:
                data = b""
            if not data:
                peer.sock.close()
                self.peers.remove(peer)
                return
            if self.habits.raw is not None:
                continue
            peer.ws.receive_data(data)
            for event in peer.ws.events():
                self._answer(peer, event)

    def _answer(self, peer: Peer, event: wsproto.events.Event) -> None:
        habits = self.habits
        if isinstance(event, Request):
            self.requests.append(event.target)
            if habits.upgrades:
                reply = peer.ws.send(AcceptConnection())
                if habits.opens:
                    reply += text(
                        f'0{{"sid":"s","upgrades":[],"pingInterval":{habits.interval_ms},'
                        f'"pingTimeout":{habits.timeout_ms},"maxPayload":1000000}}'
                    )
                peer.raw(reply)
        elif isinstance(event, TextMessage):
            peer.heard.append(event.data)
            request = re.match(r'42(\d+)\["subscribe"', event.data)
            if event.data.startswith("40") and habits.joins:
                peer.say('40{"sid":"n"}')
            elif request and habits.acks:
                peer.say(f"43{request[1]}{habits.ack}")
        elif isinstance(event, CloseConnection):
            peer.closed_with = event.code
        else:
            assert isinstance(event, Ping | Pong | BytesMessage), event
