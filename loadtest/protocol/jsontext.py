"""JSON as the wire carries it: RFC 8259 strictly, compact, UTF-8.

Law: `load` accepts no NaN or Infinity (JavaScript peers reject them) and turns every fault, also nesting too deep and
numbers too long, into RemoteProtocolError; `dump` turns what JSON cannot hold into LocalProtocolError.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from loadtest.errors import LocalProtocolError, RemoteProtocolError

MALFORMED = "malformed_packet"


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_reject_constant)
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def load(text: str) -> Any:
    """Parse one JSON value.

    Raises:
        RemoteProtocolError: `reason` malformed_packet.
    """
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise RemoteProtocolError(f"not JSON: {error}", MALFORMED) from None


def dump(value: object) -> str:
    """Write a value as compact JSON.

    Raises:
        LocalProtocolError: NaN, infinity, a cycle, or a type JSON does not have.
    """
    try:
        return _ENCODER.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise LocalProtocolError(f"cannot be written as JSON: {error}") from None


def to_bytes(text: str) -> bytes:
    """Encode UTF-8, or raise LocalProtocolError for a lone surrogate."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise LocalProtocolError(f"cannot be written as UTF-8: {error}") from None
