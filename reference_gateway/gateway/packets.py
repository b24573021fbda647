"""Engine.IO v4 and Socket.IO v5 packets in text form, as a server needs them: bytes of JSON in, bytes of JSON out.

    Engine.IO packet  = type digit + data            0 open  1 close  2 ping  3 pong  4 message  5 upgrade  6 noop
    message data      = Socket.IO packet             0 CONNECT  1 DISCONNECT  2 EVENT  3 ACK  4 CONNECT_ERROR
    Socket.IO packet  = type digit [/namespace,] [ack id] [JSON]

Binary packets (5, 6) are not part of the application's schema and are refused.
Source: socket.io-protocol v5 and engine.io-protocol v4, "Packet encoding".
"""

from __future__ import annotations

import binascii
import json
import os
from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn

CONNECT, DISCONNECT, EVENT, ACK = "0", "1", "2", "3"
_TYPES = frozenset({CONNECT, DISCONNECT, EVENT, ACK})
_RESERVED_EVENTS = frozenset(
    {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}
)
_MAX_ACK_DIGITS = 19
_MAX_EVENT_CHARS = 128

PING_TEXT = "2"


class PacketError(ValueError):
    """The client's packet cannot be read, or its type is not for clients to send."""


class Packet(NamedTuple):
    """One Socket.IO packet; `ack` is the digits of the ack id, `data` the JSON value (None when absent)."""

    kind: str
    namespace: str
    ack: str | None
    data: object


def _no_constants(name: str) -> NoReturn:
    raise PacketError(f"{name} is not JSON")


_decoder = json.JSONDecoder(parse_constant=_no_constants)
_decode = _decoder.decode
_scan: Callable[[str, int], tuple[object, int]] = vars(_decoder)["scan_once"]
# ASCII: a lone surrogate smuggled in by a JSON escape stays an escape on its way out
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def parse(text: str) -> Packet:
    """Read an Engine.IO message packet (`text[0]` is "4") as a Socket.IO packet.

    Raises:
        PacketError: unknown or binary type, malformed namespace, ack id or JSON, or an event without a usable name.
    Cost: 2-3 us for a short event.
    """
    kind = text[1:2]
    if kind not in _TYPES:
        raise PacketError(f"packet type {kind!r} is not for clients to send")
    at, namespace, ack = 2, "/", None
    if text.startswith("/", at):
        comma = text.find(",", at)
        end = len(text) if comma < 0 else comma
        namespace, at = text[at:end], end + 1
    start = at
    while at < len(text) and text[at] in "0123456789":
        at += 1
    if at > start:
        ack = text[start:at]
        if len(ack) > _MAX_ACK_DIGITS:
            raise PacketError("ack id too long")
    data = _json(text[at:]) if at < len(text) else None
    if kind == EVENT:
        _check_event(data)
    elif (kind == ACK and (ack is None or not isinstance(data, list))) or (
        kind == CONNECT and not isinstance(data, dict | None)
    ):
        raise PacketError("the packet's payload is not of the shape its type asks for")
    return Packet(kind, namespace, ack, data)


def _json(text: str) -> object:
    try:
        if text[0] in "[{":  # nearly always; this way saves JSONDecoder.decode's two searches for white space
            value, end = _scan(text, 0)
            if end == len(text):
                return value
        return _decode(text)
    except (StopIteration, ValueError, RecursionError) as error:
        raise PacketError(f"malformed JSON: {error}") from error


def _check_event(data: object) -> None:
    if not isinstance(data, list) or not data or not isinstance(data[0], str):
        raise PacketError("an event is an array that begins with its name")
    name = data[0]
    if not 0 < len(name) <= _MAX_EVENT_CHARS or name in _RESERVED_EVENTS:
        raise PacketError("reserved, empty or too long event name")


def new_id() -> str:
    """Make an unguessable session id: 120 random bits, 20 URL-safe characters."""
    return binascii.b2a_base64(os.urandom(15), newline=False).decode().replace("+", "-").replace("/", "_")


def open_text(sid: str, ping_interval_s: float, ping_timeout_s: float, max_message_bytes: int) -> str:
    """Write the Engine.IO OPEN packet: the first thing a client hears."""
    return (
        f'0{{"sid":"{sid}","upgrades":[],"pingInterval":{round(ping_interval_s * 1000)},'
        f'"pingTimeout":{round(ping_timeout_s * 1000)},"maxPayload":{max_message_bytes}}}'
    )


def connect_text(sid: str, pid: str | None = None) -> str:
    """Write the answer to CONNECT on the namespace "/"; `pid` names the session to somebody who can recover it."""
    return f'40{{"sid":"{sid}"}}' if pid is None else f'40{{"sid":"{sid}","pid":"{pid}"}}'


def connect_error_text(namespace: str, message: str) -> str:
    """Write CONNECT_ERROR for a namespace other than "/"."""
    return f"44{namespace},{_encode({'message': message})}"


def ack_text(ack: str, args: Sequence[object]) -> str:
    """Write the answer to an event that asked for an ack."""
    return f"43{ack}{_encode(list(args))}"


def event_text(name: str, argument_json: str) -> str:
    """Write an event with one argument that is JSON already (a broadcast is not decoded and encoded again)."""
    return f'42["{name}",{argument_json}]'
