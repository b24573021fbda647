"""Engine.IO v4 and Socket.IO v5 packets in text form, as a server needs them: bytes of JSON in, bytes of JSON out.

    Engine.IO packet  = type digit + data            0 open  1 close  2 ping  3 pong  4 message  5 upgrade  6 noop
    message data      = Socket.IO packet             0 CONNECT  1 DISCONNECT  2 EVENT  3 ACK  4 CONNECT_ERROR
                                                     5 BINARY_EVENT  6 BINARY_ACK
    Socket.IO packet  = type digit [attachments-] [/namespace,] [ack id] [JSON]

Source: socket.io-protocol v5 and engine.io-protocol v4, "Packet encoding".
"""

from __future__ import annotations

import binascii
import json
import os
from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn

CONNECT, DISCONNECT, EVENT, ACK = "0", "1", "2", "3"
BINARY = frozenset({"5", "6"})
_BINARY_OF = {EVENT: "5", ACK: "6"}
_MOST_ATTACHMENTS = 10
_TYPES = frozenset({CONNECT, DISCONNECT, EVENT, ACK})
_RESERVED_EVENTS = frozenset(
    {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}
)
_PAYLOADS: dict[str, tuple[type, ...]] = {CONNECT: (dict,), DISCONNECT: (), ACK: (list,)}  # where there is one
_MAX_ACK_DIGITS = 19
_MAX_EVENT_CHARS = 128

CLOSE_TEXT, PING_TEXT, UPGRADE_TEXT, NOOP_TEXT = "1", "2", "5", "6"
PROBE_TEXT, PROBED_TEXT = "2probe", "3probe"


class PacketError(ValueError):
    """The client's packet cannot be read, or its type is not for clients to send."""


class EngineError(PacketError):
    """It is not even a packet of Engine.IO."""


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
        PacketError: unknown or binary type (`parse_binary` takes those), malformed namespace, ack id or JSON, or an
            event without a usable name.
    Cost: 2-3 us for a short event.
    """
    kind = text[1:2]
    if kind not in _TYPES:
        raise PacketError(f"packet type {kind!r} is not for clients to send")
    return _parse_rest(kind, text, 2)


def parse_binary(text: str) -> tuple[Packet, int]:
    """Read a packet of a binary type as one of its plain type, and the number of attachments that follow it.

    Raises:
        PacketError: as `parse`, or a number of attachments that is none or out of bounds.
    """
    dash = text.find("-", 2)
    digits = text[2:dash]
    if dash < 0 or not digits.isascii() or not digits.isdigit() or not 1 <= int(digits[:3]) <= _MOST_ATTACHMENTS:
        raise PacketError("illegal number of attachments")
    return _parse_rest(EVENT if text[1:2] == "5" else ACK, text, dash + 1), int(digits[:3])


def _parse_rest(kind: str, text: str, at: int) -> Packet:
    """Read a packet from its namespace on."""
    namespace, ack = "/", None
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
    empty = at >= len(text)
    data = None if empty else _json(text, at)
    if kind == EVENT:
        _check_event(data)
    elif (kind == ACK and ack is None) or not (empty or isinstance(data, _PAYLOADS[kind])):
        raise PacketError("the packet's payload is not of the shape its type asks for")
    return Packet(kind, namespace, ack, data)


def auth_of(text: str) -> object:
    """Read what a CONNECT to the namespace "/" carries: `text` begins with `40{`.

    Raises:
        PacketError: malformed JSON.
    Cost: 0.3 us.
    """
    return _json(text, 2)


def _json(text: str, at: int) -> object:
    try:
        if text[at] in "[{":  # nearly always; this way saves JSONDecoder.decode's two searches for white space
            value, end = _scan(text, at)
            if end == len(text):
                return value
        return _decode(text[at:])
    except (StopIteration, ValueError, RecursionError) as error:
        raise PacketError(f"malformed JSON: {error}") from error


def _check_event(data: object) -> None:
    if not isinstance(data, list) or not data or not isinstance(data[0], str):
        raise PacketError("an event is an array that begins with its name")
    event_name(data[0])


def event_name(name: str) -> str:
    """Return the name of an event.

    Raises:
        PacketError: it is reserved, empty or too long.
    """
    if not 0 < len(name) <= _MAX_EVENT_CHARS or name in _RESERVED_EVENTS:
        raise PacketError("reserved, empty or too long event name")
    return name


def new_id() -> str:
    """Make an unguessable session id: 120 random bits, 20 URL-safe characters."""
    return binascii.b2a_base64(os.urandom(15), newline=False).decode().replace("+", "-").replace("/", "_")


def open_text(
    sid: str, ping_interval_s: float, ping_timeout_s: float, max_message_bytes: int, upgrades: Sequence[str] = ()
) -> str:
    """Write the Engine.IO OPEN packet: the first thing a client hears."""
    return (
        f'0{{"sid":"{sid}","upgrades":{_encode(list(upgrades))},"pingInterval":{round(ping_interval_s * 1000)},'
        f'"pingTimeout":{round(ping_timeout_s * 1000)},"maxPayload":{max_message_bytes}}}'
    )


def connect_text(sid: str, pid: str | None = None, namespace: str = "/") -> str:
    """Write the answer to CONNECT; `pid` names the session to somebody who can recover it."""
    where = "" if namespace == "/" else f"{namespace},"
    return f'40{where}{{"sid":"{sid}"}}' if pid is None else f'40{where}{{"sid":"{sid}","pid":"{pid}"}}'


def connect_error_text(namespace: str, message: str, data: object = None) -> str:
    """Write CONNECT_ERROR; `data` is what an application adds to the message."""
    where = "" if namespace == "/" else f"{namespace},"
    return f"44{where}{_encode({'message': message} if data is None else {'message': message, 'data': data})}"


def packet_text(kind: str, namespace: str, ack: str | None, args: object, attachments: int = 0) -> str:
    """Write an event (`args` begins with its name) or the ack of one.

    Args:
        ack: of an ack, whose; of an event, the id to ack it by, None for none.
        attachments: binary messages that follow; there are placeholders for them in `args`.
    """
    head = f"4{_BINARY_OF[kind]}{attachments}-" if attachments else f"4{kind}"
    if namespace != "/":
        head = f"{head}{namespace},"
    return f"{head}{_encode(args)}" if ack is None else f"{head}{ack}{_encode(args)}"


def event_text(name: str, argument_json: str) -> str:
    """Write an event with one argument that is JSON already (a broadcast is not decoded and encoded again)."""
    return f'42["{name}",{argument_json}]'
