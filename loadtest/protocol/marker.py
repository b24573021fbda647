"""The token a published message carries, by which its deliveries are recognised, ordered and timed.

    lt1.<run>.<channel>.<epoch>.<seq>.<sched_ns>.<late_ns>        "lt1.0badcafe.12.1.3417.81237712345678.20417"

Law: bounded. `run` is 8 lower-case hex digits, every other field 1 to 20 decimal digits, the whole at most 96
characters; whatever exceeds that is ordinary text. The token ends at the first character that is not a digit, so
padding written right behind it must not begin with one.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from loadtest.errors import LocalProtocolError

MAX_MARKER_CHARS = 96

_NUMBER = r"\.([0-9]{1,20})"
_TEXT = r"lt1\.([0-9a-f]{8})" + _NUMBER * 5 + r"(?![0-9])"
_IN_TEXT = re.compile(_TEXT)
_IN_BYTES = re.compile(_TEXT.encode("ascii"))


class Marker(NamedTuple):
    """One publish: `sched_ns` is its scheduled time on the publisher's monotonic clock, `late_ns` actual minus that."""

    run: str
    channel: int
    epoch: int
    seq: int
    sched_ns: int
    late_ns: int


def format_marker(marker: Marker) -> str:
    """Write a marker as its token.

    Raises:
        LocalProtocolError: a run that is not 8 hex digits, a negative number, or more than 96 characters in all.
    """
    text = "lt1." + ".".join(map(str, marker))
    match = _IN_TEXT.fullmatch(text)
    if match is None or len(text) > MAX_MARKER_CHARS:
        raise LocalProtocolError(
            f"{text[:120]!r} is not a marker: run is 8 lower-case hex digits, the others whole numbers >= 0, "
            f"at most {MAX_MARKER_CHARS} characters in all"
        )
    return text


def parse_marker(text: str) -> Marker | None:
    """Read a text that is exactly one token, or None."""
    return _marker(_IN_TEXT.fullmatch(text)) if len(text) <= MAX_MARKER_CHARS else None


def find_marker(payload: bytes | str) -> Marker | None:
    """Find the first token anywhere in a payload, or None.

    Cost: one literal-prefix scan; linear in the payload.
    """
    matches = _IN_TEXT.finditer(payload) if isinstance(payload, str) else _IN_BYTES.finditer(payload)
    for match in matches:
        if match.end() - match.start() <= MAX_MARKER_CHARS:
            return _marker(match)
    return None


def _marker(match: re.Match[str] | re.Match[bytes] | None) -> Marker | None:
    if match is None:
        return None
    run, channel, epoch, seq, sched_ns, late_ns = match.groups()
    name = run if isinstance(run, str) else run.decode("ascii")
    return Marker(name, int(channel), int(epoch), int(seq), int(sched_ns), int(late_ns))
