"""One client's connection, from accept to close. There are many thousands: no task, timer, closure or dict of its own.

    state    from                        a chunk is                       ends by
    HEAD     accept                      a part of the HTTP head          upgrade -> OPEN, any answer -> CLOSING
    OPEN     the 101 and Engine.IO OPEN  frames; only CONNECT is expected CONNECT "/" -> JOINED
    JOINED   Socket.IO CONNECT           frames: events, acks, pongs      DISCONNECT "/" -> OPEN
    CLOSING  our close frame, or answer  watched for the peer's close     peer's close or close grace -> CLOSED
    PARTING  it may come back            see `parting`                    as CLOSING
    CLOSED   the socket is gone          -

Laws: subscriptions exist only in JOINED. The heartbeat knows a session in OPEN and JOINED. From CLOSING on nothing is
sent. Whoever is in no namespace when the handshake time is over is closed. Every end passes through `connection_lost`.
The states from OPEN on are those of the namespace "/"; the others that a client is in are `namespaces`. A client that
polls is a session too: its transport is a `mailbox`, and what it posts comes from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, cast

from wsproto.frame_protocol import Opcode

from reference_gateway import wire

from . import events, packets
from .binary import Partial
from .framing import (
    Assembly,
    FramingError,
    Received,
    close_frame,
    is_close,
    pong_frame,
    short_payload,
    short_texts,
    text_frame,
)
from .namespaces import Aside, Member, accepted_frame, frames_of
from .parting import receive_last

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
    PARTING = 4
    CLOSED = 5


HEAD, OPEN, JOINED, CLOSING, PARTING, CLOSED = State
_CONNECT = f"4{packets.CONNECT}{{".encode()
_PING_FRAME = text_frame(packets.PING_TEXT)
_IGNORED = frozenset({"0", packets.UPGRADE_TEXT, packets.NOOP_TEXT})  # by the official server, from a client


class Session(asyncio.Protocol):
    """A connection; 128 bytes of our own, the rest is the transport's."""

    __slots__ = (
        "aside",
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

    namespace = "/"
    transport: asyncio.Transport

    def __init__(self, node: Node) -> None:
        self.node = node
        self.state = HEAD
        self.assembly: bytearray | Assembly | None = None  # HEAD: the head so far; later: an incomplete message
        self.aside: Aside | None = None
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
        self.transport = transport  # type: ignore[assignment]  # it is one of TCP
        self.node.accepted(self)

    def data_received(self, data: bytes) -> None:
        """Take a chunk of whatever size; what it means depends on the state."""
        state = self.state
        if state is JOINED or state is OPEN:
            self._receive_frames(data)
        elif state is HEAD:
            if self.assembly is not None or not self.node.welcome(self, data):
                self._receive_head(data)
        elif state is CLOSING and is_close(data):
            self.transport.close()
        elif state is PARTING:
            receive_last(self, data)

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

    @property
    def joined(self) -> bool:
        """Whether it is in its namespace."""
        return self.state is JOINED

    @property
    def closing(self) -> bool:
        """Whether it is past its end: nothing is sent any more."""
        return self.state >= CLOSING

    def hand_over(self, protocol: asyncio.Protocol) -> None:
        """Leave the TCP connection to `protocol`: it is no WebSocket of a session."""
        self.state = CLOSED
        self.assembly = None
        self.transport.set_protocol(protocol)

    def answer(self, ack: str | None, argument: object) -> None:
        """Send an ack with one argument, if one was asked for and we are still joined."""
        self.answer_all(ack, (argument,))

    def accept(self, ack: str | None, revision: int) -> None:
        """Send the ack that says yes, if one was asked for and we are still joined."""
        if ack is not None and self.state is JOINED:
            self.node.writer.send(self, accepted_frame(ack, revision))

    def answer_all(self, ack: str | None, args: Sequence[object]) -> None:
        """Send an ack with these arguments, if one was asked for and we are still joined."""
        if ack is not None and self.state is JOINED:
            self.send(frames_of(packets.ACK, "/", ack, args))

    def emit(self, event: str, args: Sequence[object], *, ack: bool) -> None:
        """Send an event of the application, and ask for an ack if `ack`."""
        if self.state is JOINED:
            self.emit_in("/", event, args, ack=ack)

    def close(self, close: wire.CloseCode) -> None:
        """Send a close frame (an HTTP connection is just cut) and wait for the peer's, at most the close grace."""
        state = self.state
        if state >= CLOSING:
            return
        self._let_go()
        self.state = PARTING if state is JOINED and close.reconnect else CLOSING
        if self.state is CLOSING:
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
        elif self.state is OPEN and not (self.aside and self.aside.members):
            self.close(wire.PROTOCOL_ERROR)

    def close_timed_out(self) -> None:
        """The peer did not close its side."""
        if self.state is not CLOSED:
            self.transport.abort()

    # ---- HTTP

    def _receive_head(self, data: bytes) -> None:
        head = bytearray() if self.assembly is None else cast(bytearray, self.assembly)
        head += data
        end = head.find(b"\r\n\r\n") + 4
        if (end if end >= 4 else len(head)) > self.node.settings.max_head_bytes:
            self.node.head_too_big(self)
        elif end < 4:
            self.assembly = head
        else:
            self.assembly = None
            rest = bytes(head[end:])
            if self.node.request(self, bytes(head[:end]), rest) and rest:
                self._receive_frames(rest)

    # ---- frames

    def _receive_frames(self, data: bytes) -> None:
        node = self.node
        node.measures.bytes_in += len(data)
        try:
            if self.assembly is None:
                if (payload := short_payload(data)) is not None:
                    self._receive_payload(payload)
                    return
                if (texts := short_texts(data)) is not None:
                    for text in texts:
                        self.receive_text(text)
                        if self.state >= CLOSING:
                            return
                    return
                self.assembly = Assembly()
            assembly = cast(Assembly, self.assembly)
            for received in node.frames.feed(assembly, data):
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

    def _receive_payload(self, payload: bytes) -> None:
        """Take a text as it came; as `receive_text`, which takes all but what nearly all clients say."""
        if self.aside is None:
            if self.state is JOINED:
                if (wish := self.node.phrases[payload]) is not None:
                    events.subscribe(self.node, self, wish)
                    return
            elif payload.startswith(_CONNECT):
                events.connect(self, packets.auth_of(payload.decode()))
                return
        self.receive_text(payload.decode())

    def _receive(self, received: Received) -> None:
        kind, payload = received
        if kind is Opcode.TEXT:
            self.receive_text(cast(str, payload))
        elif kind is Opcode.BINARY:
            self.receive_attachment(cast(bytes, payload))
        elif kind is Opcode.PING:
            self.transport.write(pong_frame(cast(bytes, payload)))
        elif kind is Opcode.CLOSE:
            self._leave_normally()

    def _leave_normally(self) -> None:
        """The client closes: answer its close frame and end."""
        self.close(wire.NORMAL)
        self.transport.close()

    # ---- Engine.IO and Socket.IO

    def receive_text(self, text: str) -> None:
        """Take an Engine.IO packet. Raises `PacketError`: the caller closes the session."""
        kind = text[:1]
        if kind == "4":
            if self.aside is not None and self.aside.partial is not None:
                raise packets.PacketError("text came where an attachment is due")
            if text[1:2] in packets.BINARY:
                self.set_aside().partial = Partial(*packets.parse_binary(text))
            else:
                self._receive_packet(packets.parse(text))
        elif kind == "3":
            self.unanswered_tick = None
        elif kind == "1":
            self._leave_normally()
        elif kind not in _IGNORED:
            raise packets.EngineError(f"Engine.IO packet {kind!r} is not for clients to send")

    def receive_attachment(self, attachment: bytes) -> None:
        """Take a binary message; as `receive_text`."""
        if self.aside is None or self.aside.partial is None:
            raise packets.PacketError("binary came where none is due")
        packet = self.aside.partial.add(attachment)
        if packet is not None:
            self.aside.partial = None
            self._receive_packet(packet)

    def set_aside(self) -> Aside:
        """Return what is set aside, made now if it was not there."""
        if self.aside is None:
            self.aside = Aside()
        return self.aside

    def _receive_packet(self, packet: packets.Packet) -> None:
        kind, namespace, ack, data = packet
        if kind == packets.EVENT and namespace == "/" and self.state is JOINED:  # nearly always
            events.take(self.node, self, cast(list[object], data), ack)
            return
        events.receive(self, packet)

    def join(self, sid: str, pid: str | None) -> bool:
        """Answer CONNECT, which makes the session one of the namespace; False if it is too late for that."""
        if self.state is not OPEN:
            return False
        self.client = self.client or sid
        self.sid = sid if pid is not None else ""
        self.state = JOINED
        self.node.joined(self, self.client)
        self.node.writer.send(self, text_frame(packets.connect_text(sid, pid)))
        return True

    def leave(self) -> None:
        """Leave the namespace, as the client wants it; it may join again."""
        self.node.parted(self, self.client)
        self.state = OPEN
        self.node.heartbeat.opening(self)

    # ---- namespaces other than "/"

    def member(self, namespace: str) -> Member | None:
        """Return our part in a namespace, None if there is none."""
        return self.aside.members.get(namespace) if self.aside is not None else None

    def is_member(self, member: Member) -> bool:
        """Say whether this is our part in its namespace, and may still be used."""
        return not self.closing and self.aside is not None and self.aside.members.get(member.namespace) is member

    def joined_elsewhere(self, member: Member, answer: str) -> None:
        """Answer the CONNECT of a member."""
        self.node.joined(self, member.client)
        self.tell(answer)

    def emit_in(self, namespace: str, event: str, args: Sequence[object], *, ack: bool) -> None:
        """Send an event of the application in a namespace; ask for an ack if `ack`, and few enough are owed."""
        number = self.set_aside().ask(namespace, event) if ack else None
        self.send(frames_of(packets.EVENT, namespace, number, [event, *args]))

    def send(self, frames: bytes) -> None:
        """Send one message."""
        self.node.writer.send(self, frames)

    def tell(self, text: str) -> None:
        """Send one packet."""
        self.node.writer.send(self, text_frame(text))

    def _let_go(self) -> None:
        """Be no longer known to hub and heartbeat."""
        if self.state is JOINED:
            self.node.parted(self, self.client)
        if self.aside is not None:
            for member in tuple(self.aside.members.values()):
                member.leave()
            self.aside = None
        if self.bucket is not None:
            self.node.left(self)
