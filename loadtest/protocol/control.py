"""What every dialect shares because WebSocket itself says it: control frames and the target of the upgrade.

Source: RFC 6455 section 5.5 (a close is answered with the same code, a ping with the same payload).
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlencode

from loadtest.errors import LocalProtocolError
from loadtest.protocol.events import IGNORED, Closed, Event, Pinged
from loadtest.protocol.frames import CLOSE, CONTINUATION, PING, PONG, Frame, close_payload, encode, parse_close

PING_FRAME = encode(PING, b"")

_KEEP_IN_TARGET = "/%:@!$&'()*+,;=~?-._"


def close_frame(code: int, reason: str) -> bytes:
    """Write a client's close frame; raises LocalProtocolError for a code or reason that must not be sent."""
    return encode(CLOSE, close_payload(code, reason))


def decode_control(frame: Frame) -> tuple[Event, ...] | None:
    """Read a control frame; None for a whole data message.

    Raises:
        RemoteProtocolError: a close payload that breaks RFC 6455 (`reason` bad_close, bad_utf8).
        LocalProtocolError: a fragment, which MessageReader should have joined.
    """
    opcode = frame.opcode
    if opcode == PING:
        return (Pinged(encode(PONG, frame.payload)),)
    if opcode == PONG:
        return IGNORED
    if opcode == CLOSE:
        code, reason = parse_close(frame.payload)
        return (Closed(code, reason, close_frame(code, "")),)
    if opcode == CONTINUATION or not frame.fin:
        raise LocalProtocolError("a fragment cannot be read by itself: join fragments with MessageReader")
    return None


def request_target(path: str, query: Mapping[str, str]) -> str:
    """Join a path (which may hold a query) and more parameters; characters that HTTP forbids are percent-encoded."""
    target = quote(path if path.startswith("/") else "/" + path, safe=_KEEP_IN_TARGET)
    if not query:
        return target
    return f"{target}{'&' if '?' in target else '?'}{urlencode(query)}"
