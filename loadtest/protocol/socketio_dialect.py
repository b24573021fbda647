"""Socket.IO v5 over Engine.IO v4 over WebSocket, as a client of one namespace.

    upgrade -> 0{open} Opened -> 40{auth} -> 40{sid} Joined | 44{error} Refused
            -> 42<id>[event, ...] -> 43<id>[...] Acked          42[event, ...] Delivered
               2 Pinged -> 3          41, 1 Left                45<n>-[...] Partial, then n binary frames

Law: stateless, so nothing is checked against what went before (an ack nobody asked for is still `Acked`). Packets of
other namespaces are `Ignored`. The server's heartbeat is answered; the client never starts one (Engine.IO v4).
"""

# ruff: noqa: ARG002  (the contract's arguments are not all of use in every dialect)
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from loadtest.errors import LocalProtocolError, RemoteProtocolError
from loadtest.protocol import jsontext
from loadtest.protocol.control import PING_FRAME, close_frame, decode_control, request_target
from loadtest.protocol.dialect import Resumption, Variables
from loadtest.protocol.engineio import EnginePacket, EngineType, decode_open, decode_packet, encode_packet
from loadtest.protocol.events import IGNORED, Acked, Delivered, Event, Joined, Left, Opened, Partial, Pinged, Refused
from loadtest.protocol.frames import BINARY, TEXT, Frame, decode_text, encode
from loadtest.protocol.hint import in_value
from loadtest.protocol.jsontext import MALFORMED
from loadtest.protocol.marker import Marker, find_marker
from loadtest.protocol.path import Path, Rule
from loadtest.protocol.socketio import SocketPacket, SocketType, assemble
from loadtest.protocol.socketio import decode_packet as decode_socket_packet
from loadtest.protocol.socketio import encode_packet as encode_socket_packet
from loadtest.protocol.template import Template

DEFAULT_PATH = "/socket.io/"
_PARAMETERS = {"EIO": "4", "transport": "websocket"}


class SocketIODialect:
    """Implement `Dialect` for Socket.IO servers (JS 3.x and 4.x, python-socketio 5.x)."""

    name = "socketio"
    opens_with_upgrade = False

    def __init__(
        self,
        *,
        namespace: str = "/",
        auth: object = None,
        subscribe_event: str | None = None,
        subscribe_args: Sequence[object] = (),
        subscribe_ack: bool = True,
        ack_path: str = "",
        ack_equals: object = None,
        publish_event: str | None = None,
        publish_args: Sequence[object] = (),
        publish_ack: bool = True,
        marker_path: str = "",
        hint_path: str = "",
    ) -> None:
        """Compile the profile's messages.

        Args:
            auth: payload of CONNECT, a table of templates; None sends none.
            subscribe_event: None: connections are subscribed by joining.
            ack_path, ack_equals: the rule for `Acked.ok`, into the ack's arguments ("0.ok"); both empty: all are ok.
            marker_path: where the marker sits in [event, *args]; "" searches all of it.
            hint_path: where CONNECT_ERROR says when to come back, in seconds; "": by the usual names (`hint`).

        Raises:
            LocalProtocolError: a namespace that is none, or `auth` that is no table; TemplateError: a bad template.
        """
        connect, _ = encode_socket_packet(SocketPacket(SocketType.CONNECT, namespace))
        if auth is not None and not isinstance(auth, Mapping):
            raise LocalProtocolError(f"auth is the payload of CONNECT and must be a table, not {auth!r}")
        self._namespace = namespace
        self._connect = f"4{connect}".encode()
        self._event = b"42" + self._connect[2:]
        self._ack_head = b"43" + self._connect[2:]
        self._auth = None if auth is None else Template(auth)
        self._subscribe = None if subscribe_event is None else Template([subscribe_event, *subscribe_args])
        self._publish = None if publish_event is None else Template([publish_event, *publish_args])
        self._path = Path(marker_path)
        self._hint = Path(hint_path)
        self._rule = Rule(Path(ack_path), ack_equals) if ack_path or ack_equals is not None else None
        self.subscribe_names = frozenset() if self._subscribe is None else self._subscribe.names
        self.acked_subscribe = subscribe_ack and subscribe_event is not None
        self.acked_publish = publish_ack and publish_event is not None

    def target(self, path: str, query: Mapping[str, str]) -> str:
        """Add EIO and transport; an empty path becomes the protocol's default one."""
        bare, mark, rest = path.partition("?")
        if bare in ("", "/"):
            bare = DEFAULT_PATH
        return request_target(bare + mark + rest, {**_PARAMETERS, **query})

    def greeting(self, variables: Variables) -> bytes:
        """Return b"": the server speaks first."""
        return b""

    def join(self, variables: Variables, resumption: Resumption | None = None) -> bytes:
        """Return CONNECT with the auth payload; pid and offset come first in it, as the JavaScript client has them."""
        auth = b"" if self._auth is None else self._auth.json(variables)
        if resumption is not None:
            offer = {"pid": resumption.pid, "offset": resumption.offset}
            first = jsontext.to_bytes(jsontext.dump({key: value for key, value in offer.items() if value is not None}))
            auth = first[:-1] + b"," + auth[1:] if auth[1:-1].strip() else first
        return encode(TEXT, self._connect + auth)

    def subscribe(self, variables: Variables, request_id: int) -> bytes:
        """See `Dialect.subscribe`."""
        if self._subscribe is None:
            return b""
        head = b"%b%d" % (self._event, request_id) if self.acked_subscribe else self._event
        return encode(TEXT, head + self._subscribe.json(variables))

    def publish(self, variables: Variables, request_id: int) -> bytes:
        """See `Dialect.publish`."""
        if self._publish is None:
            raise LocalProtocolError("the profile describes no publish.event")
        head = b"%b%d" % (self._event, request_id) if self.acked_publish else self._event
        return encode(TEXT, head + self._publish.json(variables))

    def emit(self, event: str, args: Sequence[object], request_id: int | None = None) -> bytes:
        """See `Dialect.emit`; bytes among the arguments become attachments."""
        return self._frames(SocketPacket(SocketType.EVENT, self._namespace, [event, *args], request_id))

    def acknowledge(self, request_id: int, args: Sequence[object]) -> bytes:
        """Return the answer to a `Delivered` whose `id` is set, for locustfiles."""
        return self._frames(SocketPacket(SocketType.ACK, self._namespace, list(args), request_id))

    def send(self, value: object) -> bytes:
        """Return the event "message" with one argument, as `socket.send` does in the JavaScript client."""
        return self.emit("message", [value])

    def ping(self) -> bytes:
        """See `Dialect.ping`: a WebSocket ping, since Engine.IO v4 forbids clients to start a heartbeat."""
        return PING_FRAME

    def close(self, code: int = 1000, reason: str = "") -> bytes:
        """See `Dialect.close`."""
        return close_frame(code, reason)

    def decode(self, frame: Frame) -> tuple[Event, ...]:
        """See `Dialect.decode`. A binary frame is only legal after `Partial`, and then goes to `decode_binary`."""
        control = decode_control(frame)
        if control is not None:
            return control
        if frame.opcode == BINARY:
            raise RemoteProtocolError("an attachment came without a header", MALFORMED)
        packet = decode_packet(decode_text(frame.payload))
        data = str(packet.data)
        if packet.type == EngineType.MESSAGE:
            return self._message(decode_socket_packet(data), data)
        if packet.type == EngineType.PING:
            return (Pinged(encode(TEXT, jsontext.to_bytes(f"3{data}"))),)
        if packet.type == EngineType.OPEN:
            opened = decode_open(data)
            return (Opened(opened.sid, opened.ping_interval_s, opened.ping_timeout_s),)
        return (Left("engine_close"),) if packet.type == EngineType.CLOSE else IGNORED

    def decode_binary(self, partial: Partial, attachments: Sequence[bytes]) -> tuple[Event, ...]:
        """See `Dialect.decode_binary`."""
        header: SocketPacket = partial.header
        packet = assemble(header, attachments)
        # Without a path the marker is searched for; str() of parsed JSON shows its strings as well as the wire did.
        return self._message(packet, "" if self._path.text else str(header.data), attachments)

    def _message(self, packet: SocketPacket, text: str, attachments: Sequence[bytes] = ()) -> tuple[Event, ...]:
        if packet.namespace != self._namespace:
            # Its attachments still follow on this connection and must be collected.
            return (Partial(packet.attachments, packet),) if packet.attachments else IGNORED
        kind, data = packet.type, packet.data
        if kind in (SocketType.BINARY_EVENT, SocketType.BINARY_ACK):
            partial = Partial(packet.attachments, packet)
            return (partial,) if packet.attachments else self.decode_binary(partial, ())
        if kind == SocketType.EVENT:
            marker = self._marker(data, text, attachments)
            return (Delivered(marker, str(data[0]), tuple(data[1:]), packet.id),)
        if kind == SocketType.ACK:
            return (Acked(packet.id, tuple(data), self._rule is None or self._rule.holds(data)),)
        if kind == SocketType.CONNECT:
            return (Joined(*(str((data or {}).get(key, "")) for key in ("sid", "pid"))),)
        if kind == SocketType.CONNECT_ERROR:
            return (self._refused(data),)
        return (Left("server_disconnect"),)

    def _marker(self, data: list[Any], text: str, attachments: Sequence[bytes]) -> Marker | None:
        if self._path.text:
            return self._path.marker(data)
        parts: tuple[str | bytes, ...] = (text, *attachments)
        return next((marker for part in parts if (marker := find_marker(part)) is not None), None)

    def _frames(self, packet: SocketPacket) -> bytes:
        text, attachments = encode_socket_packet(packet)
        head = encode_packet(EnginePacket(EngineType.MESSAGE, text))
        frame = encode(TEXT, jsontext.to_bytes(str(head)))
        return frame + b"".join([encode(BINARY, attachment) for attachment in attachments])

    def _refused(self, data: Any) -> Refused:
        """Read CONNECT_ERROR; the protocol has no field for a hint."""
        if isinstance(data, str):
            return Refused(data)
        return Refused(str(data.get("message", "")), in_value(data, self._hint))
