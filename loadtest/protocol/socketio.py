"""Socket.IO v5 packets, both directions: what stands inside Engine.IO messages.

    <type>[<attachments>-][<namespace>,][<ack id>][<JSON>]
    51-/admin,7["pic",{"_placeholder":true,"num":0}]              and one binary frame

Law: the header text and its attachments are separate; `decode_packet` reads the header alone and leaves placeholders,
`assemble` puts the bytes in, `SocketIOReader` does both for one connection. A fault of the peer is RemoteProtocolError
with `reason` malformed_packet.

Source: Socket.IO protocol document, revision 5 (sections "Packet encoding", "Exchange protocol").
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import IntEnum
from typing import Any, NamedTuple

from loadtest.errors import LocalProtocolError, RemoteProtocolError
from loadtest.protocol import jsontext
from loadtest.protocol.jsontext import MALFORMED

MAX_ATTACHMENTS = 256


class SocketType(IntEnum):
    """Packet types; the value is the digit on the wire."""

    CONNECT = 0
    DISCONNECT = 1
    EVENT = 2
    ACK = 3
    CONNECT_ERROR = 4
    BINARY_EVENT = 5
    BINARY_ACK = 6


class SocketPacket(NamedTuple):
    """One packet.

    `data`: CONNECT an object or None, EVENT a list that begins with the event's name, ACK a list, CONNECT_ERROR an
    object or a string, DISCONNECT None. `id` is the number to acknowledge with, None when none is asked for.
    `attachments` counts the binary frames that a decoded header still waits for.
    """

    type: SocketType
    namespace: str = "/"
    data: Any = None
    id: int | None = None
    attachments: int = 0


_HEADER = re.compile(r"([0-6])(?:([0-9]{1,4})-)?(?:(/[^,]*)(?:,|\Z))?([0-9]{1,18})?", re.ASCII)
_BINARY = (SocketType.BINARY_EVENT, SocketType.BINARY_ACK)
_WITH_BINARY = {SocketType.EVENT: SocketType.BINARY_EVENT, SocketType.ACK: SocketType.BINARY_ACK}
_TYPES = tuple(SocketType)


def encode_packet(packet: SocketPacket) -> tuple[str, tuple[bytes, ...]]:
    """Write a packet as its header text and the binary frames to send after it.

    Bytes inside `data` of an EVENT or ACK become attachments, and the type the matching binary one.

    Raises:
        LocalProtocolError: bytes elsewhere, a namespace that is none, a value JSON cannot hold.
    """
    if not packet.namespace.startswith("/") or "," in packet.namespace:
        raise LocalProtocolError(f"{packet.namespace!r} is not a namespace: '/' first, no comma")
    attachments: list[bytes] = []
    try:
        data = _extract(packet.data, attachments)
    except RecursionError:
        raise LocalProtocolError("data is nested too deeply, or in itself") from None
    kind = packet.type
    if attachments:
        kind = _WITH_BINARY.get(kind, kind)
        if kind not in _BINARY:
            raise LocalProtocolError(f"a {kind.name} packet cannot carry bytes")
    count = f"{len(attachments)}-" if kind in _BINARY else ""
    namespace = "" if packet.namespace == "/" else packet.namespace + ","
    number = "" if packet.id is None else packet.id
    body = "" if data is None else jsontext.dump(data)
    return f"{kind.value}{count}{namespace}{number}{body}", tuple(attachments)


def decode_packet(text: str) -> SocketPacket:
    """Read a header. In a binary packet `data` holds placeholders until `assemble`.

    Raises:
        RemoteProtocolError: unknown type, bad header, data that does not fit the type.
    """
    match = _HEADER.match(text)
    if match is None:
        raise RemoteProtocolError(f"{text[:20]!r} begins with no Socket.IO packet type", MALFORMED)
    kind = _TYPES[int(match[1])]
    if (match[2] is not None) is not (kind in _BINARY):
        raise RemoteProtocolError(f"{kind.name} {'without' if kind in _BINARY else 'with'} a count", MALFORMED)
    attachments = int(match[2] or 0)
    if attachments > MAX_ATTACHMENTS:
        raise RemoteProtocolError(f"{attachments} attachments exceed {MAX_ATTACHMENTS}", MALFORMED)
    body = text[match.end() :]
    data = jsontext.load(body) if body else None
    number = None if match[4] is None else int(match[4])
    if not _fits(kind, data, number):
        raise RemoteProtocolError(f"{kind.name} cannot hold {body[:40]!r} with id {number}", MALFORMED)
    return SocketPacket(kind, match[3] or "/", data, number, attachments)


def assemble(packet: SocketPacket, attachments: Sequence[bytes]) -> SocketPacket:
    """Put attachments in the places of their placeholders; the result has type EVENT or ACK.

    Raises:
        RemoteProtocolError: wrong number of attachments, or a placeholder without one.
    """
    if packet.type not in _BINARY or len(attachments) != packet.attachments:
        raise RemoteProtocolError(f"{packet.type.name} got {len(attachments)} of {packet.attachments}", MALFORMED)
    kind = SocketType.EVENT if packet.type == SocketType.BINARY_EVENT else SocketType.ACK
    try:
        data = _insert(packet.data, attachments)
    except RecursionError:
        raise RemoteProtocolError("data is nested too deeply", MALFORMED) from None
    return packet._replace(type=kind, data=data, attachments=0)


class SocketIOReader:
    """Join the headers and attachments of one connection: the slow path, beside the stateless `decode_packet`."""

    __slots__ = ("_attachments", "_header")

    def __init__(self) -> None:
        self._header: SocketPacket | None = None
        self._attachments: list[bytes] = []

    @property
    def pending(self) -> bool:
        """True while attachments are awaited."""
        return self._header is not None

    def feed(self, payload: str | bytes) -> SocketPacket | None:
        """Take the data of one Engine.IO message; return the packet it completes, or None.

        Raises:
            RemoteProtocolError: a text before all attachments came, bytes without a header, or a malformed packet.
        """
        if isinstance(payload, str):
            if self._header is not None:
                raise RemoteProtocolError("a text came where an attachment was due", MALFORMED)
            packet = decode_packet(payload)
            if packet.type not in _BINARY:
                return packet
            self._header = packet
        elif self._header is None:
            raise RemoteProtocolError("an attachment came without a header", MALFORMED)
        else:
            self._attachments.append(payload)
        if len(self._attachments) < self._header.attachments:
            return None
        header, attachments = self._header, self._attachments
        self._header, self._attachments = None, []
        return assemble(header, attachments)


def _fits(kind: SocketType, data: Any, number: int | None) -> bool:
    if kind in (SocketType.EVENT, SocketType.BINARY_EVENT):
        # A name may be a number: the reference implementation allows it.
        return (
            isinstance(data, list) and bool(data) and isinstance(data[0], str | int) and not isinstance(data[0], bool)
        )
    if kind in (SocketType.ACK, SocketType.BINARY_ACK):
        return isinstance(data, list) and number is not None
    if kind == SocketType.CONNECT:
        return (data is None or isinstance(data, dict)) and number is None
    if kind == SocketType.DISCONNECT:
        return data is None and number is None
    return isinstance(data, dict | str) and number is None


def _extract(value: Any, attachments: list[bytes]) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        attachments.append(bytes(value))
        return {"_placeholder": True, "num": len(attachments) - 1}
    if isinstance(value, dict):
        return {key: _extract(item, attachments) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_extract(item, attachments) for item in value]
    return value


def _insert(value: Any, attachments: Sequence[bytes]) -> Any:
    if isinstance(value, list):
        return [_insert(item, attachments) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("_placeholder") is not True:
        return {key: _insert(item, attachments) for key, item in value.items()}
    number = value.get("num")
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < len(attachments):
        raise RemoteProtocolError(f"placeholder {str(number)[:20]!r} of {len(attachments)} attachments", MALFORMED)
    return attachments[number]
