"""Engine.IO v4 packets over WebSocket, both directions: one digit of type, then the data; binary messages bare.

    text frame    "4hello"  <->  EnginePacket(MESSAGE, "hello")
    binary frame  01 02     <->  EnginePacket(MESSAGE, b"\\1\\2")

Law: one frame is one packet. A fault of the peer is RemoteProtocolError with `reason` malformed_packet.

Source: Engine.IO protocol document, revision 4 (sections "Packet encoding", "Handshake", "Heartbeat", "Upgrade").
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

from loadtest.errors import LocalProtocolError, RemoteProtocolError
from loadtest.protocol import jsontext
from loadtest.protocol.jsontext import MALFORMED

MAX_INTERVAL_S = 7 * 86_400.0


class EngineType(IntEnum):
    """Packet types; the value is the digit on the wire."""

    OPEN = 0
    CLOSE = 1
    PING = 2
    PONG = 3
    MESSAGE = 4
    UPGRADE = 5
    NOOP = 6


class EnginePacket(NamedTuple):
    """One packet; `data` is bytes only in a MESSAGE."""

    type: EngineType
    data: str | bytes = ""


class OpenData(NamedTuple):
    """What an OPEN packet says; intervals in seconds (milliseconds on the wire)."""

    sid: str
    ping_interval_s: float
    ping_timeout_s: float
    max_payload_bytes: int = 1_000_000
    upgrades: tuple[str, ...] = ()


_TYPES = tuple(EngineType)
_SID_FIRST = '{"sid":"'
_MOST_KEPT_CHARACTERS = 4096


def encode_packet(packet: EnginePacket) -> str | bytes:
    """Return the payload of a packet's frame: str for a text frame, bytes for a binary one."""
    if isinstance(packet.data, bytes):
        if packet.type != EngineType.MESSAGE:
            raise LocalProtocolError(f"only a MESSAGE carries bytes, not {packet.type.name}")
        return packet.data
    return f"{packet.type.value}{packet.data}"


def decode_packet(payload: str | bytes) -> EnginePacket:
    """Read the payload of one frame: str from a text frame, bytes from a binary one.

    Raises:
        RemoteProtocolError: an empty text or an unknown type.
    """
    if isinstance(payload, bytes):
        return EnginePacket(EngineType.MESSAGE, payload)
    digit = ord(payload[0]) - 48 if payload else -1
    if not 0 <= digit < len(_TYPES):
        raise RemoteProtocolError(f"{payload[:20]!r} begins with no Engine.IO packet type", MALFORMED)
    return EnginePacket(_TYPES[digit], payload[1:])


def encode_open(opened: OpenData) -> str:
    """Write the data of an OPEN packet, in the order of the protocol document's example."""
    return jsontext.dump(
        {
            "sid": opened.sid,
            "upgrades": list(opened.upgrades),
            "pingInterval": round(opened.ping_interval_s * 1000),
            "pingTimeout": round(opened.ping_timeout_s * 1000),
            "maxPayload": opened.max_payload_bytes,
        }
    )


def decode_open(data: str | bytes) -> OpenData:
    """Read the data of an OPEN packet; `maxPayload` may be missing (older servers), unknown keys are allowed.

    Raises:
        RemoteProtocolError: not an object, no sid, or intervals that are not numbers in (0, 7 days].
    """
    if isinstance(data, str) and data.startswith(_SID_FIRST):
        # Servers write the sid first and everything else alike for all: the rest is read once, the sid is plain text.
        sid, quote, rest = data[len(_SID_FIRST) :].partition('"')
        plain = 0 < len(sid) <= 1024 and "\\" not in sid and sid.isprintable()
        if quote and plain and len(rest) <= _MOST_KEPT_CHARACTERS:
            opened = _open_behind_sid(rest)
            if opened is not None:
                return opened._replace(sid=sid)
    return _decode_open(data)


@lru_cache(maxsize=64)
def _open_behind_sid(rest: str) -> OpenData | None:
    """Read an OPEN packet behind its first sid; None where another may stand there: the last one holds."""
    if '"sid"' in rest or "\\" in rest:
        return None
    return _decode_open(f'{_SID_FIRST}-"{rest}')


def _decode_open(data: str | bytes) -> OpenData:
    fields = jsontext.load(data) if isinstance(data, str) else None
    if not isinstance(fields, dict):
        raise RemoteProtocolError("OPEN does not hold an object", MALFORMED)
    sid = fields.get("sid")
    if not isinstance(sid, str) or not 0 < len(sid) <= 1024:
        raise RemoteProtocolError("OPEN names no sid", MALFORMED)
    max_payload = fields.get("maxPayload", 1_000_000)
    if isinstance(max_payload, bool) or not isinstance(max_payload, int) or max_payload < 0:
        raise RemoteProtocolError("maxPayload is not a size", MALFORMED)
    return OpenData(
        sid,
        _seconds(fields, "pingInterval"),
        _seconds(fields, "pingTimeout"),
        max_payload,
        _names(fields.get("upgrades")),
    )


def _seconds(fields: dict[str, object], key: str) -> float:
    value = fields.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RemoteProtocolError(f"{key} is not a number", MALFORMED)
    # Compared before the division: an int may be too large for a float.
    if not 0 < value <= MAX_INTERVAL_S * 1000 or math.isnan(value):
        raise RemoteProtocolError(f"{key} is not between 0 and 7 days", MALFORMED)
    return value / 1000


def _names(value: object) -> tuple[str, ...]:
    items: Sequence[object] = value if isinstance(value, list) else ()
    return tuple(item for item in items if isinstance(item, str))
