"""When a server says to come back: one reading of every way in which it says so, in seconds.

    HTTP    503, Retry-After: 12.5 (or a date)            `handshake.retry_after_s`
    close   4013 "retry-after=12.5" | '{"retry_after_s": 12.5}'       `in_text`
    44      {"message": "busy", "data": {"retry_after_s": 12.5}}      `in_value`

Law: what cannot be read as a time from now on is no hint (None), never an error. None of these is a standard beyond the
HTTP header; the names accepted are our assumption.
"""

from __future__ import annotations

import re
from typing import Any

from loadtest.errors import ProtocolError
from loadtest.protocol import jsontext
from loadtest.protocol.path import Path

KEYS = {"retry_after_s": 1.0, "retry_after": 1.0, "retryAfter": 1.0, "retry_after_ms": 0.001}
"""Names of a hint in a table, with what makes seconds of it."""

MOST_S = 1e9

_IN_TEXT = re.compile(
    r"retry[-_ ]?after(?P<unit>[-_ ]?m?s)?[\"']?\s*[=:]?\s*(?P<number>[0-9]{1,12}(?:\.[0-9]{1,12})?)", re.I
)
_DECIMAL = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,12})?")


def seconds(value: object) -> float | None:
    """Return a number, or the text of one, as seconds >= 0; None for anything else."""
    if isinstance(value, str):
        return float(value) if _DECIMAL.fullmatch(value) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < MOST_S:
        return None
    return float(value)


def in_value(value: Any, path: Path | None = None) -> float | None:
    """Return the hint in a message.

    Args:
        path: where it sits, in seconds; None looks for the `KEYS` at the top and under "data".
    """
    if path is not None and path.text:
        return seconds(path.find(value))
    for table in (value, value.get("data") if isinstance(value, dict) else None):
        if isinstance(table, dict):
            for key, unit_s in KEYS.items():
                found = seconds(table.get(key))
                if found is not None:
                    return found * unit_s
    return None


def in_text(text: str) -> float | None:
    """Return the hint in the reason of a close frame: "retry-after=12.5", or the text of a JSON table."""
    if text.startswith("{"):
        try:
            return in_value(jsontext.load(text))
        except ProtocolError:
            return None
    match = _IN_TEXT.search(text)
    if match is None:
        return None
    found = float(match["number"])
    return found / 1000 if (match["unit"] or "").lower().endswith("ms") else found
