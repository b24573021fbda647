"""Hide what must not leave the machine: values that identify a client to the target, and credentials in URLs.

    profile --redacted--> profile.toml          run.json, manifest, what the log says --safe, safe_text--> run folder
    any sentence --safe_text--> terminal, pages, logs of processes (SafeFormatter)

Laws: keys stay, so that a reader sees what was sent; values become "***". A redacted profile still loads. Every URL,
wherever it stands in a sentence, goes without user, password and query. What is redacted twice is as redacted once.
"""

from __future__ import annotations

import logging
import re
import tomllib
from collections.abc import Mapping
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
_URL = re.compile(r"\b(?:wss?|https?)://(?:(?!,\w+://)[^\s\"'<>`])*(?<![.,:;)}])", re.IGNORECASE)
"""A URL in a sentence: it ends before what ends a clause, or before the next one. A password may hold a comma."""
_FLAG = re.compile(
    r"((?:--?|\b)[\w-]*(?:passw(?:or)?d|token|secret|api[_-]?key)[\w-]*=|--[\w-]*(?:passw(?:or)?d|token|secret|api[_-]?key)[\w-]*\s+"
    r"|\b(?:bearer|basic)\s+)(?!\*\*\*)[^\s\"'&;|]+",
    re.IGNORECASE,
)
"""What a command hands over in the open: `--token VALUE`, `password=VALUE`, `Authorization: Bearer VALUE`."""
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def redacted(content: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of a profile's plain data without its secrets."""
    return {key: _walk(value, (key,)) for key, value in content.items()}


def safe_setting(text: str) -> str:
    """Return a `dotted.key=value` of the command line without the secrets in its value."""
    key, equals, value = text.partition("=")
    path = tuple(part for part in key.strip().split(".") if not part.isdecimal())
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:  # words without quotes are a setting too
        parsed = value
    if any(path[:length] in _WHOLE for length in range(1, len(path) + 1)):
        return f"{key}{equals}{HIDDEN}"
    shown = _walk(parsed, path)
    return safe_text(text) if shown == parsed else f"{key}{equals}{shown}"


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
    if isinstance(value, str):
        return redact_url(value) if path in _URLS else safe_text(value)
    return value


def _hide(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _hide(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_hide(inner) for inner in value]
    return HIDDEN


def safe(value: Any, key: str = "") -> Any:
    """Return a copy of plain data, such as run.json, without its secrets; `key` is the one that it stands under."""
    if isinstance(value, Mapping):
        return {safe_text(str(name)): safe(inner, str(name)) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [safe(inner, key) for inner in value]
    return hidden(key, safe_text(value)) if isinstance(value, str) else value


def safe_text(text: str) -> str:
    """Return a text whose URLs have no user, password or query, and whose commands have no secrets in the open."""
    if "://" in text:
        text = _URL.sub(lambda match: redact_url(match[0]), text)
    return _FLAG.sub(rf"\1{HIDDEN}", text)


class SafeFormatter(logging.Formatter):
    """Format records for a log that is kept: no URL in it carries a secret, nor one in a traceback."""

    def __init__(self) -> None:
        super().__init__(LOG_FORMAT)

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text."""
        return safe_text(super().format(record))


def redact_url(url: str) -> str:
    """Return a URL without the user, password and query it may carry."""
    try:
        parts = urlsplit(url)
    except ValueError:  # no URL, and so nobody can say which part of it is secret
        return f"{url.partition('://')[0]}://{HIDDEN}"
    host = parts.netloc.rpartition("@")[2]
    netloc = f"{HIDDEN}@{host}" if "@" in parts.netloc else host
    return urlunsplit((parts.scheme, netloc, parts.path, HIDDEN if parts.query else "", ""))
