"""One client's connection, from accept to close. There are many thousands: no task, timer, closure or dict of its own.

    state    from                        a chunk is                       ends by
    HEAD     accept                      a part of the HTTP head          upgrade -> OPEN, any answer -> CLOSING
    OPEN     the 101 and Engine.IO OPEN  frames; only CONNECT is expected CONNECT "/" -> JOINED
    JOINED   Socket.IO CONNECT           frames: events, acks, pongs      DISCONNECT "/" -> OPEN
    CLOSING  our close frame, or answer  watched for the peer's close     peer's close or close grace -> CLOSED
    CLOSED   the socket is gone          -

Laws: subscriptions exist only in JOINED. The heartbeat knows a session in OPEN and JOINED. From CLOSING on nothing is
sent. Whoever is not JOINED when the handshake time is over is closed. Every end passes through `connection_lost`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, cast

from wsproto.frame_protocol import Opcode

from reference_gateway import wire

from . import packets
from .framing import Assembly, FramingError, Received, close_frame, is_close, pong_frame, short_texts, text_frame

if TYPE_CHECKING:
    from .heartbeat import Pinged
    from .hub import Channel
    from .server import Node


class State(IntEnum):
    """See the table in the module's docstring."""

    HEAD = 0
    OPEN = 1
    JOINED = 2
    CLOSING = 3
    CLOSED = 4


HEAD, OPEN, JOINED, CLOSING, CLOSED = State
_PING_FRAME = text_frame(packets.PING_TEXT)


class Session(asyncio.Protocol):
    """A connection; 120 bytes of our own, the rest is the transport's."""

    __slots__ = (
        "assembly",
        "bucket",
        "calls",
        "channels",
        "client",
        "node",
        "sid",
        "state",
        "transport",
        "turns",
        "unanswered_tick",
    )

    transport: asyncio.Transport

    def __init__(self, node: Node) -> None:
        self.node = node
        self.state = HEAD
        self.assembly: bytearray | Assembly | None = None  # HEAD: the head so far; later: an incomplete message
        self.channels: tuple[Channel, ...] = ()
        self.client = ""
        self.calls = 0
        self.sid = ""  # the name its rooms are remembered by, where sessions can be recovered
        self.turns = -1  # pings left until the end of its lifetime; below 0: none is set
        self.unanswered_tick: int | None = None
        self.bucket: set[Pinged] | None = None

    # ---- the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin: the TCP connection is accepted."""
        self.transport = cast(asyncio.Transport, transport)
        self.node.accepted(self)

    def data_received(self, data: bytes) -> None:
        """Take a chunk of whatever size; what it means depends on the state."""
        state = self.state
        if state is JOINED or state is OPEN:
            self._receive_frames(data)
        elif state is HEAD:
            self._receive_head(data)
        elif state is CLOSING and is_close(data):
            self.transport.close()

    def pause_writing(self) -> None:
        """The outgoing queue is full."""
        self.node.writer.overflow(self)

    def resume_writing(self) -> None:
        """Too late: a slow consumer is already on its way out."""

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """End: the socket is gone, whoever ended it."""
        self._let_go()
        self.state = CLOSED
        self.assembly = None
        self.node.lost()

    # ---- the node calls

    def answer(self, ack: str | None, argument: object) -> None:
        """Send an ack with one argument, if one was asked for and we are still joined."""
        self.answer_all(ack, (argument,))

    def answer_all(self, ack: str | None, args: Sequence[object]) -> None:
        """Send an ack with these arguments, if one was asked for and we are still joined."""
        if ack is not None and self.state is JOINED:
            self._send(packets.ack_text(ack, args))

    def close(self, close: wire.CloseCode) -> None:
        """Send a close frame (an HTTP connection is just cut) and wait for the peer's, at most the close grace."""
        state = self.state
        if state >= CLOSING:
            return
        self._let_go()
        self.state = CLOSING
        self.assembly = None
        if state is HEAD:
            self.transport.abort()
            return
        self.node.measures.closes[close.code] += 1
        self.transport.write(close_frame(close))
        self.node.heartbeat.closing(self)

    def finish(self, answer: bytes) -> None:
        """Send a last answer of HTTP, and close when it is out."""
        self.state = CLOSING
        self.assembly = None
        self.transport.write(answer)
        self.transport.close()
        self.node.heartbeat.closing(self)

    def drop_slow(self) -> None:
        """Close a slow consumer."""
        if self.state < CLOSING:
            self.node.measures.slow_consumers += 1
            self.close(wire.SLOW_CONSUMER)

    # ---- the heartbeat calls

    def ping(self) -> None:
        """Send an Engine.IO ping, unless the client's time is over."""
        self.turns -= 1
        if self.turns == 0:
            self.close(self.node.farewell())
            return
        self.node.writer.send(self, _PING_FRAME)

    def ping_timed_out(self) -> None:
        """The client does not answer."""
        self.close(wire.PING_TIMEOUT)

    def handshake_timed_out(self) -> None:
        """Whoever is not joined by now never will be."""
        if self.state is HEAD:
            self.node.measures.rejected["timeout"] += 1
            self.close(wire.PROTOCOL_ERROR)
        elif self.state is OPEN:
            self.close(wire.PROTOCOL_ERROR)

    def close_timed_out(self) -> None:
        """The peer did not close its side."""
        if self.state is not CLOSED:
            self.transport.abort()

    # ---- HTTP

    def _receive_head(self, data: bytes) -> None:
        head: bytes | bytearray
        if self.assembly is None:
            head = data
        else:
            head = cast(bytearray, self.assembly)
            head += data
        end = head.find(b"\r\n\r\n") + 4
        if (end if end >= 4 else len(head)) > self.node.settings.max_head_bytes:
            self.node.head_too_big(self)
        elif end < 4:
            self.assembly = bytearray(head) if self.assembly is None else self.assembly
        else:
            self.assembly = None
            if self.node.request(self, bytes(head[:end])) and len(head) > end:
                self._receive_frames(bytes(head[end:]))

    # ---- frames

    def _receive_frames(self, data: bytes) -> None:
        measures = self.node.measures
        measures.bytes_in += len(data)
        try:
            if self.assembly is None:
                texts = short_texts(data)
                if texts is not None:
                    for text in texts:
                        self._receive_text(text)
                        if self.state >= CLOSING:
                            return
                    return
                self.assembly = Assembly()
            assembly = cast(Assembly, self.assembly)
            for received in self.node.frames.feed(assembly, data):
                self._receive(received)
                if self.state >= CLOSING:
                    return
            if assembly.idle:
                self.assembly = None
        except UnicodeDecodeError:
            self.close(wire.BAD_TEXT)
        except FramingError as error:
            self.close(error.close)
        except packets.PacketError:
            self.close(wire.PROTOCOL_ERROR)

    def _receive(self, received: Received) -> None:
        kind, payload = received
        if kind is Opcode.TEXT:
            self._receive_text(cast(str, payload))
        elif kind is Opcode.BINARY:
            self.close(wire.UNSUPPORTED_DATA)
        elif kind is Opcode.PING:
            self.transport.write(pong_frame(cast(bytes, payload)))
        elif kind is Opcode.CLOSE:
            self._leave_normally()

    def _leave_normally(self) -> None:
        """The client closes: answer its close frame and end."""
        self.close(wire.NORMAL)
        self.transport.close()

    # ---- Engine.IO and Socket.IO

    def _receive_text(self, text: str) -> None:
        kind = text[:1]
        if kind == "4":
            self._receive_packet(packets.parse(text))
        elif kind == "3":
            self.unanswered_tick = None
        elif kind == "1":
            self._leave_normally()
        elif kind != "6":
            raise packets.PacketError(f"Engine.IO packet {kind!r} is not for clients to send")

    def _receive_packet(self, packet: packets.Packet) -> None:
        kind, namespace, ack, data = packet
        if kind == packets.CONNECT:
            self._connect(namespace, data)
        elif namespace != "/" or self.state is not JOINED:
            raise packets.PacketError("not connected to this namespace")
        elif kind == packets.EVENT:
            self._event(cast(list[object], data), ack)
        elif kind == packets.DISCONNECT:
            self.node.hub.leave(self)
            self.state = OPEN
            self.node.heartbeat.opening(self)

    def _connect(self, namespace: str, auth: object) -> None:
        if namespace != "/":
            self._send(packets.connect_error_text(namespace[: wire.MAX_EVENT_CHARS], "Invalid namespace"))
            return
        if self.state is JOINED:
            raise packets.PacketError("already connected to this namespace")
        claimed = auth.get("client") if isinstance(auth, dict) else None
        if isinstance(claimed, str) and 0 < len(claimed) <= wire.MAX_CLIENT_CHARS:
            self.client = claimed
        if self.node.recovery is not None:
            self.node.recovery.connect(self, auth)
        else:
            self.join(packets.new_id(), None)

    def join(self, sid: str, pid: str | None) -> bool:
        """Answer CONNECT, which makes the session one of the namespace; False if it is too late for that."""
        if self.state is not OPEN:
            return False
        self.client = self.client or sid
        self.sid = sid if pid is not None else ""
        self.state = JOINED
        self.node.settled(self)
        self._send(packets.connect_text(sid, pid))
        return True

    def _event(self, data: list[object], ack: str | None) -> None:
        node = self.node
        node.measures.messages_in += 1
        name, args = cast(str, data[0]), data[1:]
        if name not in (wire.SUBSCRIBE, wire.UNSUBSCRIBE):
            node.upstream.submit(self, name, args, ack)
            return
        try:
            collection = wire.collection_of(args)
        except wire.WireError as error:
            self.answer(ack, wire.refused(str(error)))
            return
        if node.recovery is not None:
            node.recovery.note(self.sid, collection, inside=name == wire.SUBSCRIBE)
        if name == wire.SUBSCRIBE:
            node.hub.subscribe(self, collection, ack)
        else:
            self.answer(ack, wire.accepted(node.hub.unsubscribe(self, collection)))

    def _send(self, text: str) -> None:
        self.node.writer.send(self, text_frame(text))

    def _let_go(self) -> None:
        """Be no longer known to hub and heartbeat."""
        self.node.hub.leave(self)
        if self.bucket is not None:
            self.node.left(self)
