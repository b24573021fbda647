"""The HTTP side of a connection: read one request head, answer it, or turn the connection into a WebSocket.

The law: a head is parsed once, whole (httptools), and bounded by the caller; every answer but the upgrade ends the
connection. What Engine.IO refuses is said in Engine.IO's words: status 400 and {"code", "message"}.

    head bytes --parse--> Request --accept--> token, for the 101 (`switch`) | Refusal(status, body)

Source: RFC 6455 section 4.2; engine.io-protocol v4, "Handshake"; error codes of engine.io `Server.errors`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container
from typing import NamedTuple

import httptools
from wsproto.utilities import generate_accept_token

SOCKET_PATH = b"/socket.io/"
_SOCKET_PATHS = (SOCKET_PATH, SOCKET_PATH[:-1])
_KNOCK = b"GET " + SOCKET_PATH[:-1]
POLLING, WEBSOCKET = b"polling", b"websocket"
_ERRORS = {  # of engine.io, by code: its message, and what we count it as
    0: ("Transport unknown", "transport"),
    1: ("Session ID unknown", "sid"),
    2: ("Bad handshake method", "method"),
    3: ("Bad request", "bad_request"),
    5: ("Unsupported protocol version", "engineio_version"),
}
_KEY_CHARS = 24  # base64 of 16 bytes
_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")
_KEY_HEADER = b"\r\nSec-WebSocket-Key: "
_KNOWN_HEADS = 64
_KNOWN_HEAD_BYTES = 1024
_KNOWN_KEYS = 4096


class Refusal(Exception):  # noqa: N818 - it is an answer, not a fault of ours
    """The request is answered with this status and body, and the connection ends; `reason` is for counting."""

    def __init__(self, status: str, reason: str, body: bytes, headers: str = "") -> None:
        super().__init__(f"{status}: {reason}")
        self.status = status
        self.reason = reason
        self.body = body
        self.headers = headers


class Request(NamedTuple):
    """A request head; header names are lower case, a repeated header keeps its last value."""

    method: bytes
    path: bytes
    query: dict[bytes, bytes]
    headers: dict[bytes, bytes]


class Collector:
    """What httptools tells of a request head."""

    __slots__ = ("headers", "url")

    def __init__(self) -> None:
        self.url = b""
        self.headers: dict[bytes, bytes] = {}

    def on_url(self, url: bytes) -> None:
        """Take a part of the target."""
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self.headers[name.lower()] = value


def parse(head: bytes) -> Request:
    """Read a whole request head, blank line included.

    Raises:
        Refusal: it is not HTTP.
    Cost: 4 us.
    """
    collector = Collector()
    parser = httptools.HttpRequestParser(collector)
    try:
        parser.feed_data(head)
    except httptools.HttpParserUpgrade:
        pass  # how httptools says that the head is whole and asks for an upgrade
    except httptools.HttpParserError:
        raise Refusal("400 Bad Request", "bad_http", b"not an HTTP request\n") from None
    return request_of(parser.get_method(), collector)


def request_of(method: bytes, collector: Collector) -> Request:
    """Return the request that was collected."""
    path, _, query = collector.url.partition(b"?")
    pairs: dict[bytes, bytes] = {}
    for pair in query.split(b"&"):
        name, _, value = pair.partition(b"=")
        pairs[name] = value
    return Request(method, path, pairs, collector.headers)


def is_polling(request: Request) -> bool:
    """Say whether a request is one of Engine.IO's long-polling."""
    upgrades = b"upgrade" in request.headers and b"upgrade" in request.headers.get(b"connection", b"").lower()
    return request.path in _SOCKET_PATHS and request.query.get(b"transport") == POLLING and not upgrades


class Upgrades:
    """Accept the upgrades of clients whose request heads differ in nothing but their key: judge the first one only.

    A head is remembered, without its key, once `accept` has taken it: the same head with another key is the same
    request. So are the answers to keys, which load generators use again and again. Bounded: `_KNOWN_HEADS` heads of at
    most `_KNOWN_HEAD_BYTES`, `_KNOWN_KEYS` keys; then it forgets all of them and begins anew.
    Cost: 0.5 us for a known head, 1.6 if its key is new, 7 for another.
    """

    def __init__(self) -> None:
        self._known: set[tuple[bytes, bytes]] = set()
        self._tokens: dict[bytes, bytes] = {}

    def known(self, head: bytes) -> bytes | None:
        """Return the token that is owed to this head if it is a known one with a key of its own, else None."""
        start = head.find(_KEY_HEADER) + len(_KEY_HEADER)
        end = start + _KEY_CHARS
        if (head[:start], head[end:]) not in self._known:
            return None
        key = head[start:end]
        return self._tokens.get(key) or self._token(key)

    def learn(self, head: bytes) -> None:
        """Remember a head that `accept` has taken."""
        start = head.find(_KEY_HEADER) + len(_KEY_HEADER)
        end = start + _KEY_CHARS
        if start < len(_KEY_HEADER) or head[end : end + 2] != b"\r\n" or len(head) > _KNOWN_HEAD_BYTES:
            return
        if head.lower().count(_KEY_HEADER.lower().rstrip()) != 1:
            return  # which of two keys counts is for `accept` to say
        if len(self._known) >= _KNOWN_HEADS:
            self._known.clear()
        self._known.add((head[:start], head[end:]))

    def _token(self, key: bytes) -> bytes | None:
        if not _KEY.fullmatch(key):
            return None
        if len(self._tokens) >= _KNOWN_KEYS:
            self._tokens.clear()
        token = self._tokens[key] = generate_accept_token(key)
        return token


def accept(request: Request, polling: Container[object] = ()) -> bytes:
    """Take the upgrade of a Socket.IO client; return the token it is owed.

    Args:
        polling: ids of the sessions that poll, and may upgrade.

    Raises:
        Refusal: not the Socket.IO path, another transport or protocol version, or a malformed upgrade.
    """
    if request.path not in _SOCKET_PATHS:
        raise Refusal("404 Not Found", "path", b"no such path\n")
    if request.query.get(b"transport") != WEBSOCKET:
        raise engineio_refusal(0)
    sid = request.query.get(b"sid")
    if sid and sid not in polling:
        raise engineio_refusal(1)
    if request.method != b"GET":
        raise engineio_refusal(3 if sid else 2)
    if request.query.get(b"EIO") != b"4":
        raise engineio_refusal(3 if sid else 5)
    headers = request.headers
    key = headers.get(b"sec-websocket-key", b"")
    if (
        headers.get(b"upgrade", b"").lower() != b"websocket"
        or b"upgrade" not in headers.get(b"connection", b"").lower()
        or len(key) != _KEY_CHARS
    ):
        raise engineio_refusal(3)
    if headers.get(b"sec-websocket-version") != b"13":
        raise Refusal("426 Upgrade Required", "websocket_version", b"", "Sec-WebSocket-Version: 13\r\n")
    return generate_accept_token(key)


def is_knock(head: bytes) -> bool:
    """Say whether a client asks to be let in: a request of a session that polls was let in before."""
    return head.startswith(_KNOCK) and head.find(b"sid=", 0, head.find(b"\r")) < 0


def switch(token: bytes) -> bytes:
    """Write the whole 101 response that tells a client its token."""
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + token + b"\r\n\r\n"
    )


def response(status: str, body: bytes, content_type: str = "text/plain; charset=utf-8", headers: str = "") -> bytes:
    """Write a whole HTTP response that ends the connection."""
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        f"{headers}Connection: close\r\n\r\n"
    )
    return head.encode("ascii") + body


def refusal_response(refusal: Refusal) -> bytes:
    """Write a refusal as an HTTP response."""
    return response(refusal.status, refusal.body, refusal_kind(refusal), refusal.headers)


def refusal_kind(refusal: Refusal) -> str:
    """Return the content type of a refusal."""
    return "application/json" if refusal.body[:1] == b"{" else "text/plain; charset=utf-8"


def engineio_refusal(code: int) -> Refusal:
    """Return what engine.io refuses a request with: 400 and {"code", "message"}."""
    message, reason = _ERRORS[code]
    return Refusal("400 Bad Request", reason, json.dumps({"code": code, "message": message}).encode())
