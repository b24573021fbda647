"""A small HTTP/1.1 server protocol on httptools: bytes in, one call of a handler per request, bytes out.

Made for the first call of every client, where a web framework would cost ten times the work itself. Bounded: request
target and headers 16 KiB, body 64 KiB; `sweep` closes idle connections. Pipelined requests are answered in order.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, cast

import httptools

MAX_HEAD_BYTES: Final = 16 * 1024
MAX_BODY_BYTES: Final = 64 * 1024
IDLE_S: Final = 30.0

#: (method, path, query, authorization, body) -> the whole response, status line included.
Handler = Callable[[bytes, bytes, bytes, bytes, bytes], bytes]


def response(status: int, content: Any) -> bytes:
    """Return a whole JSON response, status line included."""
    body = json.dumps(content, separators=(",", ":")).encode()
    phrase = HTTPStatus(status).phrase
    head = f"HTTP/1.1 {status} {phrase}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode("ascii") + body


class HttpConnection(asyncio.Protocol):
    """One client connection."""

    __slots__ = (
        "_authorization",
        "_body",
        "_connections",
        "_handler",
        "_head_bytes",
        "_parser",
        "_transport",
        "_url",
        "seen_s",
    )

    def __init__(self, handler: Handler, connections: set[HttpConnection]) -> None:
        self._handler = handler
        self._connections = connections
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._reset()
        self.seen_s = time.monotonic()

    def _reset(self) -> None:
        self._url = b""
        self._authorization = b""
        self._body = b""
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self)

    def connection_lost(self, _exc: Exception | None) -> None:
        """Called by the event loop."""
        self._transport = None
        self._connections.discard(self)

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(HTTPStatus.BAD_REQUEST, "this server speaks plain HTTP only")
        except httptools.HttpParserError:
            self._refuse(HTTPStatus.BAD_REQUEST, "not an HTTP request")

    def on_url(self, url: bytes) -> None:
        """Called by the parser, perhaps in pieces."""
        self._url += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        self._count_head(len(name) + len(value))
        if len(name) == 13 and name.lower() == b"authorization":
            self._authorization = value

    def on_body(self, body: bytes) -> None:
        """Called by the parser, perhaps in pieces."""
        self._body += body
        if len(self._body) > MAX_BODY_BYTES:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is over {MAX_BODY_BYTES} bytes")

    def on_message_complete(self) -> None:
        """Called by the parser: answer, and close if the client does not keep the connection."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self.seen_s = time.monotonic()
        path, _, query = self._url.partition(b"?")
        transport.write(self._handler(self._parser.get_method(), path, query, self._authorization, self._body))
        self._reset()
        if not self._parser.should_keep_alive():
            transport.close()

    def close_if_idle(self, now_s: float) -> None:
        """Close the connection when it has not finished a request for `IDLE_S`."""
        if self._transport is not None and now_s - self.seen_s > IDLE_S:
            self._transport.close()

    def _count_head(self, size_bytes: int) -> None:
        self._head_bytes += size_bytes
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"the head is over {MAX_HEAD_BYTES} bytes")

    def _refuse(self, status: HTTPStatus, error: str) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(response(status, {"error": error}))
            self._transport.close()


def sweep(connections: set[HttpConnection], now_s: float) -> None:
    """Close all connections that are idle at `now_s` (monotonic seconds)."""
    for connection in list(connections):
        connection.close_if_idle(now_s)
