"""Plain WebSocket with JSON messages: no session, no request numbers; the profile says what an answer looks like.

text frame --JSON--> fits the ack rule? Acked(None) : Delivered(marker at path)
other text, binary ------------------------------------> Delivered(marker searched for)
"""

# ruff: noqa: ARG002  (the contract's arguments are not all of use in every dialect)
from __future__ import annotations

from collections.abc import Mapping, Sequence

from loadtest.errors import LocalProtocolError, RemoteProtocolError
from loadtest.protocol import jsontext
from loadtest.protocol.control import PING_FRAME, close_frame, decode_control, request_target
from loadtest.protocol.dialect import Resumption, Variables
from loadtest.protocol.events import Acked, Delivered, Event, Partial
from loadtest.protocol.frames import BINARY, TEXT, Frame, decode_text, encode
from loadtest.protocol.marker import find_marker
from loadtest.protocol.path import Path, Rule
from loadtest.protocol.template import Template


class WebSocketDialect:
    """Implement `Dialect` for servers that speak JSON over bare WebSocket."""

    name = "websocket"
    opens_with_upgrade = True
    acked_publish = False

    def __init__(
        self,
        *,
        hello: object = None,
        subscribe_message: object = None,
        subscribe_ack: bool = False,
        ack_path: str = "",
        ack_equals: object = None,
        publish_message: object = None,
        marker_path: str = "",
    ) -> None:
        """Compile the profile's messages; a message that is a string is sent as it is, any other value as JSON.

        Args:
            hello: first message after the upgrade; None sends nothing.
            subscribe_message: None: connections are subscribed by connecting.
            subscribe_ack: a subscription is answered by a message with `ack_equals` at `ack_path` (with `ack_equals`
                None: by any message that has that path).
            marker_path: where the marker sits in a delivered JSON message; "" searches all of it.

        Raises:
            LocalProtocolError: `subscribe_ack` without a rule; TemplateError: a message that cannot be compiled.
        """
        self._hello = _Message(hello)
        self._subscribe = _Message(subscribe_message)
        self._publish = _Message(publish_message)
        self._path = Path(marker_path)
        if subscribe_ack and not ack_path and ack_equals is None:
            raise LocalProtocolError("subscribe.ack = true needs ack_path, ack_equals or both to know an answer by")
        self._rule = Rule(Path(ack_path), ack_equals) if subscribe_ack else None
        self.subscribe_names = frozenset() if self._subscribe.template is None else self._subscribe.template.names
        self.acked_subscribe = subscribe_ack and subscribe_message is not None

    def target(self, path: str, query: Mapping[str, str]) -> str:
        """See `Dialect.target`."""
        return request_target(path, query)

    def greeting(self, variables: Variables) -> bytes:
        """See `Dialect.greeting`."""
        return self._hello.frame(variables)

    def join(self, variables: Variables, resumption: Resumption | None = None) -> bytes:
        """Return b"": there is no session to join."""
        return b""

    def subscribe(self, variables: Variables, request_id: int) -> bytes:
        """See `Dialect.subscribe`; `request_id` has no place on this wire."""
        return self._subscribe.frame(variables)

    def publish(self, variables: Variables, request_id: int) -> bytes:
        """See `Dialect.publish`; `request_id` has no place on this wire."""
        if self._publish.template is None:
            raise LocalProtocolError("the profile describes no publish.message")
        return self._publish.frame(variables)

    def emit(self, event: str, args: Sequence[object], request_id: int | None = None) -> bytes:
        """Raise LocalProtocolError: a plain WebSocket has no named events."""
        raise LocalProtocolError(f"the websocket dialect has no events to emit {event!r} as: use send(value)")

    def send(self, value: object) -> bytes:
        """Return a string as a text frame, bytes as a binary frame, anything else as JSON in a text frame."""
        if isinstance(value, bytes):
            return encode(BINARY, value)
        return encode(TEXT, jsontext.to_bytes(value if isinstance(value, str) else jsontext.dump(value)))

    def ping(self) -> bytes:
        """See `Dialect.ping`."""
        return PING_FRAME

    def close(self, code: int = 1000, reason: str = "") -> bytes:
        """See `Dialect.close`."""
        return close_frame(code, reason)

    def decode(self, frame: Frame) -> tuple[Event, ...]:
        """See `Dialect.decode`."""
        control = decode_control(frame)
        if control is not None:
            return control
        if frame.opcode == BINARY:
            return (Delivered(find_marker(frame.payload), None, (frame.payload,)),)
        text = decode_text(frame.payload)
        try:
            value = jsontext.load(text)
        except RemoteProtocolError:  # Any text is legal on this wire; what is not JSON is a message as it stands.
            value, path = text, None
        else:
            path = self._path
        if self._rule is not None and self._rule.holds(value):
            return (Acked(None, (value,)),)
        marker = path.marker(value) if path is not None and path.text else find_marker(text)
        return (Delivered(marker, None, (value,)),)

    def decode_binary(self, partial: Partial, attachments: Sequence[bytes]) -> tuple[Event, ...]:
        """Raise LocalProtocolError: this dialect announces no attachments."""
        raise LocalProtocolError("the websocket dialect has no packets with attachments")


class _Message:
    """A message of the profile: nothing (None), text as it is, or JSON."""

    __slots__ = ("_is_text", "template")

    def __init__(self, value: object) -> None:
        self._is_text = isinstance(value, str)
        self.template = None if value is None else Template(value)

    def frame(self, variables: Variables) -> bytes:
        if self.template is None:
            return b""
        if self._is_text:
            return encode(TEXT, jsontext.to_bytes(str(self.template.render(variables))))
        return encode(TEXT, self.template.json(variables))
