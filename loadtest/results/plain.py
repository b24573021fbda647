"""Turn what was measured into JSON that every reader accepts: NaN and infinity become null, nothing else changes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def plain(value: Any) -> Any:
    """Return a copy of `value` of dicts, lists, strings, numbers, booleans and None only.

    Raises:
        TypeError: a value that JSON has no word for; it is a mistake of the caller and must not become a string.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    raise TypeError(f"a result holds JSON values only, not {type(value).__name__}")


def to_line(value: Any) -> bytes:
    """Return `value` as one line of JSON, newline included."""
    return _utf8(json.dumps(plain(value), allow_nan=False, separators=(",", ":"), ensure_ascii=False))


def to_document(value: Any) -> bytes:
    """Return `value` as indented JSON for people and tools."""
    return _utf8(json.dumps(plain(value), allow_nan=False, indent=1, ensure_ascii=False))


def parse(text: str) -> Any:
    """Parse JSON; NaN and Infinity, which some writers produce, read as null.

    Raises:
        ValueError: it is no JSON, or nested beyond reason.
    """
    try:
        return json.loads(text, parse_constant=lambda _: None)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _utf8(text: str) -> bytes:
    """Encode; half a surrogate pair, which a peer's text may hold, stays the JSON escape that it is."""
    return text.encode("utf-8", "backslashreplace") + b"\n"
