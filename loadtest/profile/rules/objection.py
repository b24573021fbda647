"""What a rule says: which keys it looked at, and what is wrong with the first of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

from loadtest.profile.model import Profile
from loadtest.profile.wording import show


class Objection(NamedTuple):
    """One thing that does not fit: dotted keys, the one to change first, and a sentence without the key."""

    keys: tuple[str, ...]
    text: str


Rule = Callable[[Profile], Iterable[Objection]]


def wrong_url(url: str, schemes: tuple[str, ...]) -> str | None:
    """Return what is wrong with a URL, or None."""
    allowed = f"allowed: an address that begins with {' or '.join(f'{scheme}://' for scheme in schemes)}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return f"found {show(url)}, which is no URL ({error}); {allowed}"
    if parts.scheme not in schemes:
        twin = {"http": "ws", "https": "wss", "ws": "http", "wss": "https"}.get(parts.scheme, "")
        hint = f"did you mean {show(url.replace(parts.scheme, twin, 1))}? " if twin in schemes else ""
        return f"found {show(url)}; {hint}{allowed}"
    if not parts.hostname or port == 0 or any(char <= " " or char == "\x7f" for char in url):
        return f"found {show(url)}, which names no host and port to connect to; {allowed}"
    if parts.fragment:
        return f"found {show(url)}, whose #{parts.fragment} never reaches a server; leave it out"
    return None
