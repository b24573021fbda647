"""Where in a message something sits: a dotted path, and the two questions asked of that place.

    "1.text"  into  ["revision", {"text": "lt1...."}]  ->  "lt1...."

Law: a path that leads nowhere is an answer (MISSING), never an error. A whole number indexes an array; in a table every
step is a key. The empty path is the whole message.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from loadtest.protocol.marker import Marker, find_marker


class _Missing:
    """The type of MISSING."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()


class Path:
    """A dotted path, cut into its steps once."""

    __slots__ = ("_steps", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._steps = tuple(text.split(".")) if text else ()

    def find(self, value: Any) -> Any:
        """Return what sits there, or MISSING."""
        for step in self._steps:
            if isinstance(value, dict):
                value = value.get(step, MISSING)
            elif isinstance(value, list | tuple) and step.isascii() and step.isdigit() and int(step[:9]) < len(value):
                value = value[int(step)]
            else:
                return MISSING
        return value

    def marker(self, value: Any) -> Marker | None:
        """Return the marker inside the text or bytes that sit there, or None."""
        found = self.find(value)
        return find_marker(found) if isinstance(found, str | bytes) else None


class Rule(NamedTuple):
    """What makes a message the expected answer: the value at `path` equals `equals`; None: any value is there."""

    path: Path
    equals: object = None

    def holds(self, value: Any) -> bool:
        """Say whether a message fits. 1 and 1.0 are equal, 1 and true are not."""
        found = self.path.find(value)
        if self.equals is None:
            return found is not MISSING
        return isinstance(found, bool) is isinstance(self.equals, bool) and bool(found == self.equals)
