"""The transport of a session that polls: what is written to it waits for the client's next GET.

    session, hub, heartbeat --frames--> Mailbox --packets--> the GET that is pending, or the next one
                                           \\--upgraded: the rest, as frames--> the WebSocket

The law: to the rest of the node a polling client is a session like any other; only what a WebSocket carries as frames
is a list of packets here. What waits is bounded as a WebSocket's queue is. One GET and one POST at a time: two of a
kind end the session, and so does a request that breaks off. After our close the client has the close grace to fetch
what is left, and the close packet behind it.

    state of the client    a GET gets
    polling                what waits, at once; else it is kept until something comes
    probing a WebSocket    a noop, soon, so that the client's poll is over and it can upgrade
    closed by us           what is left and the close packet; then nobody knows the session any more

Source: engine.io-protocol v4, "HTTP long-polling" and "Upgrade"; engine.io's `transports/polling.js`.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from wsproto.frame_protocol import Opcode

from reference_gateway import wire

from . import packets
from .framing import binary_frame, own_frames, text_frame

if TYPE_CHECKING:
    from .session import Session

SEPARATOR: Final = "\x1e"
_BINARY: Final = "b"
_NOOP_EVERY_S: Final = 0.1


class Request(Protocol):
    """An HTTP request that waits for its answer."""

    def answer(self, status: str, body: bytes, content_type: str) -> None:
        """Send the answer."""

    def cut(self) -> None:
        """End the connection without one."""


class Upgrade(Protocol):
    """A WebSocket that may take over."""

    def end(self) -> None:
        """Close it: there is nothing to take over."""


class Mailbox:
    """What a session that polls writes to.

    Args:
        most_bytes: of packets that wait; beyond it the session is a slow consumer.
        forget: called once, when the session is not to be found any more by its sid.
    """

    __slots__ = (
        "_farewell",
        "_forget",
        "_get",
        "_most_bytes",
        "_noops",
        "_packets",
        "_post",
        "_probe",
        "_size_bytes",
        "session",
    )

    def __init__(self, session: Session, most_bytes: int, forget: Callable[[], None]) -> None:
        self.session = session
        self._most_bytes = most_bytes
        self._forget: Callable[[], None] | None = forget
        self._packets: list[str | bytes] = []
        self._size_bytes = 0
        self._get: Request | None = None
        self._post: Request | None = None
        self._probe: Upgrade | None = None
        self._noops: asyncio.TimerHandle | None = None
        self._farewell = packets.CLOSE_TEXT

    # ---- the session and the node write

    def write(self, data: bytes) -> None:
        """Take frames; a close frame is the last one."""
        was_full = self._size_bytes > self._most_bytes
        for opcode, payload in own_frames(data):
            self._packets.append(payload if opcode == Opcode.BINARY else _text(opcode, payload, self._farewell))
            self._size_bytes += len(payload)
        if self._get is not None:
            self._deliver()
        elif self._size_bytes > self._most_bytes and not was_full:
            self.session.pause_writing()

    def get_extra_info(self, _name: str) -> None:
        """There is no socket."""

    def get_write_buffer_size(self) -> int:
        """Return the bytes that wait."""
        return self._size_bytes

    def close(self) -> None:
        """End it: the session is told that it is gone, and nobody finds it any more."""
        if self._forget is None:
            return
        self._forget()
        self._forget = None
        if self._probe is not None:
            self._probe.end()
        if self._get is not None:
            self._packets.append(self._farewell)
            self._deliver()
        asyncio.get_running_loop().call_soon(self.session.connection_lost, None)

    abort = close

    # ---- the client asks

    def fetch(self, request: Request) -> bool:
        """Answer a GET, now or when there is something to say; False: there is one already, and both are over."""
        if self._get is not None:
            self.close()
            return False
        self._get = request
        if self._packets:
            self._deliver()
        return True

    def begin_post(self, request: Request) -> bool:
        """Note that a POST has begun; False: there is one already, and both are over."""
        if self._post is not None:
            self._post.cut()
            self._post = None
            self.close()
            return False
        self._post = request
        return True

    def post(self, body: bytes) -> None:
        """Take what was posted; what comes after our close is ignored."""
        self._post = None
        received = body.decode(errors="replace").split(SEPARATOR)
        if packets.CLOSE_TEXT in received:
            self._farewell = packets.NOOP_TEXT  # the client knows
        session = self.session
        session.node.measures.bytes_in += len(body)
        try:
            for packet in received:
                if session.closing:
                    return
                if packet[:1] == _BINARY:
                    session.receive_attachment(_decoded(packet[1:]))
                else:
                    session.receive_text(packet)
        except packets.PacketError as error:
            session.close(wire.PROTOCOL_ERROR)
            if isinstance(error, packets.EngineError):  # as the official server has it
                self.close()

    def end_post(self, request: Request) -> None:
        """Forget a POST that was refused."""
        if request is self._post:
            self._post = None

    def broke_off(self, request: Request) -> None:
        """End the session if the client left while this request was open."""
        if request is self._get:
            self._get = None
            self.close()
        elif request is self._post:
            self._post = None
            self.close()

    # ---- a WebSocket takes over

    def claim(self, probe: Upgrade) -> bool:
        """Let `probe` try to take over; False if another one does, or it is too late."""
        if self._probe is not None or self._forget is None or self.session.closing:
            return False
        self._probe = probe
        return True

    def release(self, probe: Upgrade) -> None:
        """Forget a WebSocket that did not take over; any other one is harmless."""
        if probe is self._probe:
            self._probe = None
            if self._noops is not None:
                self._noops.cancel()

    def hurry(self) -> None:
        """Answer polls with a noop from now on, soon: the client waits for its poll before it upgrades."""
        if self._noops is not None:
            self._noops.cancel()
        self._noops = asyncio.get_running_loop().call_later(_NOOP_EVERY_S, self._noop)

    def _noop(self) -> None:
        self.hurry()
        if self._get is not None:
            self._packets.append(packets.NOOP_TEXT)
            self._deliver()

    def move(self, transport: asyncio.Transport) -> None:
        """Write what waits to `transport`, which the session uses from now on; nobody finds it here any more."""
        if self._forget is not None:
            self._forget()
            self._forget = None
        waiting, self._packets, self._size_bytes = self._packets, [], 0
        if self._get is not None:
            self._packets.append(packets.NOOP_TEXT)
            self._deliver()
        self.session.transport = transport
        if waiting:
            transport.write(b"".join(map(_frame, waiting)))

    def _deliver(self) -> None:
        """Answer the pending GET with all that waits."""
        request, self._get = self._get, None
        payload, self._packets, self._size_bytes = self._packets, [], 0
        assert request is not None
        request.answer("200 OK", SEPARATOR.join(map(_encoded, payload)).encode(), "text/plain; charset=UTF-8")
        if payload[-1] == self._farewell and self.session.closing:
            self.close()


def _text(opcode: int, payload: bytes, farewell: str) -> str:
    return farewell if opcode == Opcode.CLOSE else payload.decode()


def _encoded(packet: str | bytes) -> str:
    return packet if isinstance(packet, str) else _BINARY + base64.b64encode(packet).decode()


def _frame(packet: str | bytes) -> bytes:
    return text_frame(packet) if isinstance(packet, str) else binary_frame(packet)


def _decoded(attachment: str) -> bytes:
    try:
        return binascii.a2b_base64(attachment)
    except (binascii.Error, ValueError) as error:
        raise packets.PacketError("not base64") from error
