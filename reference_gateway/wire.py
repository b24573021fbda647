"""What clients and the stack say to each other: event names, field checks, acks, close codes as data.

The law: every part (gateway, API, monolith) takes names, bounds and answers from here, so that a client cannot tell
the versions apart. All input is hostile: a check either returns the typed value or raises `WireError` with one
sentence that is safe to send back.

    subscribe    [{"collection"}]                      -> ack [{"ok": true, "revision": 12}]
    unsubscribe  [{"collection"}]                      -> ack [{"ok": true, "revision": 12}]
    edit         [{"collection", "parameter", "text"}] -> ack [{"ok": true, "revision": 13}]
    revision     [{"collection", "revision", "parameter", "text"}]   to every subscriber of the collection
    anything refused                                   -> ack [{"ok": false, "error": "..."}]
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import NamedTuple

SUBSCRIBE = "subscribe"
UNSUBSCRIBE = "unsubscribe"
EDIT = "edit"
REVISION = "revision"

MAX_COLLECTION_CHARS = 128
MAX_PARAMETER_CHARS = 128
MAX_CLIENT_CHARS = 128
MAX_EVENT_CHARS = 128
MAX_TEXT_BYTES = 64 * 1024

CHANNEL_PREFIX = "collection:"


class WireError(ValueError):
    """A client's message breaks the schema; the text names the field and the bound, and may be sent back."""


class Edit(NamedTuple):
    """One change a client asks for: set `parameter` of `collection` to `text`."""

    collection: str
    parameter: str
    text: str


def channel_of(collection: str) -> str:
    """Name the broker channel that carries a collection's revisions."""
    return CHANNEL_PREFIX + collection


def collection_of(args: Sequence[object]) -> str:
    """Check the arguments of `subscribe` and `unsubscribe`.

    Args:
        args: what followed the event name: exactly one object with a `collection`.
    Raises:
        WireError: a wrong shape, or a name that is empty or longer than `MAX_COLLECTION_CHARS`.
    """
    return _text(_body(args), "collection", MAX_COLLECTION_CHARS)


def edit_of(args: Sequence[object]) -> Edit:
    """Check the arguments of `edit`; `text` is bounded in UTF-8 bytes, the names in characters.

    Raises:
        WireError: a wrong shape, a missing field or one over its bound.
    """
    body = _body(args)
    collection = _text(body, "collection", MAX_COLLECTION_CHARS)
    parameter = _text(body, "parameter", MAX_PARAMETER_CHARS)
    text = body.get("text")
    if not isinstance(text, str):
        raise WireError("'text' must be a string")
    if len(text) > MAX_TEXT_BYTES or len(_utf8(text, "text")) > MAX_TEXT_BYTES:
        raise WireError(f"'text' must be at most {MAX_TEXT_BYTES} bytes")
    return Edit(collection, parameter, text)


def accepted(revision: int) -> dict[str, object]:
    """Build the one argument of an ack that says yes."""
    return {"ok": True, "revision": revision}


def refused(error: str) -> dict[str, object]:
    """Build the one argument of an ack that says no, and why."""
    return {"ok": False, "error": error}


def _body(args: Sequence[object]) -> dict[str, object]:
    if len(args) != 1 or not isinstance(args[0], dict):
        raise WireError("expected exactly one argument, an object")
    return args[0]


def _text(body: dict[str, object], key: str, max_chars: int) -> str:
    value = body.get(key)
    if not isinstance(value, str):
        raise WireError(f"'{key}' must be a string")
    if not 0 < len(value) <= max_chars:
        raise WireError(f"'{key}' must have 1 to {max_chars} characters, not {len(value)}")
    _utf8(value, key)
    return value


def _utf8(value: str, key: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise WireError(f"'{key}' holds a lone surrogate") from None


class CloseCode(NamedTuple):
    """Why a WebSocket was closed, and what the client should do about it."""

    code: int
    meaning: str
    reconnect: bool


NORMAL = CloseCode(1000, "normal closure", False)
GOING_AWAY = CloseCode(1001, "going away: the node is being deployed", True)
BAD_FRAME = CloseCode(1002, "WebSocket protocol error", False)
BAD_TEXT = CloseCode(1007, "text is not UTF-8", False)
TOO_BIG = CloseCode(1009, "message too big", False)
INTERNAL_ERROR = CloseCode(1011, "internal error", True)
TRY_AGAIN_LATER = CloseCode(1013, "try again later: the node is full or cannot work now", True)
SLOW_CONSUMER = CloseCode(4008, "slow consumer: the outgoing queue is full", True)
PROTOCOL_ERROR = CloseCode(4009, "Engine.IO or Socket.IO protocol error", False)
PING_TIMEOUT = CloseCode(4010, "no answer to a ping", True)
COME_BACK = CloseCode(4013, "retry-after=<seconds>: come back then, to any node", True)

#: Every close code the stack sends, by number. 1xxx as in RFC 6455 section 7.4.1, 4xxx private to this stack.
CLOSE_CODES = MappingProxyType(
    {
        row.code: row
        for row in (
            NORMAL,
            GOING_AWAY,
            BAD_FRAME,
            BAD_TEXT,
            TOO_BIG,
            INTERNAL_ERROR,
            TRY_AGAIN_LATER,
            SLOW_CONSUMER,
            PROTOCOL_ERROR,
            PING_TIMEOUT,
            COME_BACK,
        )
    }
)


def come_back(after_s: float) -> CloseCode:
    """Return the close that tells a client when to come back, in decimal seconds."""
    return COME_BACK._replace(meaning=f"retry-after={after_s:.3f}")
