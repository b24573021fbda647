"""Templates of a profile: which `{names}` a string uses, and a plain rendering for names and variables.

    "user {index} of {{all}}"  ->  "user ", index, " of {all}"

`{{` and `}}` are literal braces; a string that is nothing but `{name:int}` becomes a number; any other brace is a
mistake. What goes over the
wire is compiled by the dialect's own template engine; the rules here are the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

BUILT_IN = ("index", "client", "run")
CHANNEL = ("channel", "channel_index")
MESSAGE = ("marker", "padding", "seq")

_TOKEN = re.compile(r"\{\{|\}\}|\{([A-Za-z_][A-Za-z0-9_.-]*)(:int)?\}|[{}]", re.ASCII)
VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*", re.ASCII)


class Scan(NamedTuple):
    """A string taken apart: literal texts and placeholder names in turn, and the mistakes in it."""

    pieces: tuple[tuple[bool, str], ...]
    """(is a placeholder, text or name)"""
    stray: str | None
    """The first brace that opens or closes nothing, with what follows; None when there is none."""
    number: str | None
    """The first placeholder that asks for a number, as written; None when there is none."""

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names in order of appearance."""
        return tuple(text for is_name, text in self.pieces if is_name)


@lru_cache(maxsize=1024)
def scan(text: str) -> Scan:
    """Take a template apart; never raises."""
    pieces: list[tuple[bool, str]] = []
    stray: str | None = None
    number: str | None = None
    end = 0
    for match in _TOKEN.finditer(text):
        if match.start() > end:
            pieces.append((False, text[end : match.start()]))
        end = match.end()
        if match.group(1):
            pieces.append((True, match.group(1)))
            if match.group(2) and number is None:
                number = match.group()
        else:
            pieces.append((False, match.group()[0]))
            if len(match.group()) == 1 and stray is None:
                stray = text[match.start() : match.start() + 16]
    if end < len(text):
        pieces.append((False, text[end:]))
    return Scan(tuple(pieces), stray, number)


def render(text: str, values: Mapping[str, str]) -> str:
    """Return the text with its placeholders replaced.

    Raises:
        KeyError: a name without a value; a loaded profile has none.
    """
    return "".join(values[piece] if is_name else piece for is_name, piece in scan(text).pieces)
