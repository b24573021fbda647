"""Hide what must not leave the machine: values that identify a client to the target, and credentials in URLs.

Keys stay, so that a reader sees what was sent; values become "***". A redacted profile still loads.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit, urlunsplit

HIDDEN = "***"

_WHOLE = {
    ("client", "auth"),
    ("client", "headers"),
    ("client", "query"),
    ("client", "variables"),
    ("client", "hello"),
    ("publish", "http", "headers"),
    ("faults", "http", "headers"),
    ("faults", "http", "body"),
}
_URLS = {("target", "url"), ("target", "bootstrap", "url"), ("publish", "http", "url"), ("faults", "http", "url")}
_SECRET_KEY = re.compile(r"passw|token|secret|api_?key|authorization|cookie|credential", re.IGNORECASE)


def redacted(content: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of a profile's plain data without its secrets."""
    return {key: _walk(value, (key,)) for key, value in content.items()}


def hidden(key: str, value: str) -> str:
    """Return a value, hidden if its key sounds like a secret."""
    return HIDDEN if _SECRET_KEY.search(key) else value


def _walk(value: Any, path: tuple[str, ...]) -> Any:
    if path in _WHOLE or (_SECRET_KEY.search(path[-1]) and path != ("publish", "marker")):
        return _hide(value)
    if isinstance(value, dict):
        return {key: _walk(inner, (*path, key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [_walk(inner, path) for inner in value]
    if path in _URLS and isinstance(value, str):
        return redact_url(value)
    return value


def _hide(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _hide(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_hide(inner) for inner in value]
    return HIDDEN


def redact_url(url: str) -> str:
    """Return a URL without the user, password and query it may carry."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    netloc = f"{HIDDEN}@{host}" if "@" in parts.netloc else host
    return urlunsplit((parts.scheme, netloc, parts.path, HIDDEN if parts.query else "", ""))
