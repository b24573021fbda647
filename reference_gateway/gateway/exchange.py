"""One HTTP connection of clients that poll: a request, its answer, the next request, kept alive in between.

    bytes --httptools--> request --Desk.arrive--> answered now, or kept until the session has something to say

The law: one request at a time; who sends the next one before the answer is cut off. A head, a body and the time for
either are bounded, and so is the time without a request. A connection that ends with a request open ends the session.
Clients keep a connection for whatever comes next: what is none of polling, an upgrade above all, is given back.
Source: engine.io's `transports/polling.js` for the answers, RFC 9112 section 9.3 for persistence.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

import httptools

from .handshake import Collector, Refusal, is_polling, refusal_kind, request_of
from .handshake import Request as Head
from .mailbox import Mailbox

_NO_STORE = "cache-control: no-store\r\n"


class Desk(Protocol):
    """Who knows the sessions that poll."""

    max_head_bytes: int
    max_body_bytes: int
    patience_s: float

    def arrive(self, head: Head) -> Mailbox | None:
        """Check a request; return the session it belongs to, None for a handshake. Raises `Refusal`."""

    def open(self, exchange: Exchange) -> None:
        """Open a session, and answer with the Engine.IO OPEN packet. Raises `Refusal`."""

    def give_back(self, transport: asyncio.Transport, data: bytes) -> None:
        """Have somebody else answer what came: a request that is none of a client that polls, such as an upgrade."""

    def count(self, reason: str) -> None:
        """Count a refusal."""

    def left(self) -> None:
        """Count a connection that is gone."""


class Exchange(asyncio.Protocol):
    """One HTTP connection, from its first request for a polling session on.

    Args:
        patience_s: see `Desk`: for a request to come, and to be whole.
    """

    def __init__(self, desk: Desk, transport: asyncio.Transport) -> None:
        self._desk = desk
        self._transport = transport
        self._parser = httptools.HttpRequestParser(self)
        self._collector = Collector()
        self._received = bytearray()  # since the last answer, until a head is whole
        self._keeps = False
        self._other = False  # whether the request at hand is none of a client that polls
        self._body = bytearray()
        self._head: Head | None = None  # of the request that is not answered yet
        self._mailbox: Mailbox | None = None
        self._refusal: Refusal | None = None
        self._waiting: asyncio.TimerHandle | None = None
        self._wait()

    # ---- the transport calls

    def data_received(self, data: bytes) -> None:
        """Take a chunk."""
        if self._head is None:
            self._received += data
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:  # also what the callbacks below raise
            if self._other and self._received:
                self._stop_waiting()
                self._desk.give_back(self._transport, bytes(self._received))
            else:
                self.cut()
            return
        if self._head is None and len(self._received) > self._desk.max_head_bytes:
            self.cut()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The client is gone; if it was owed an answer, so is its session."""
        self._stop_waiting()
        if self._mailbox is not None:
            self._mailbox.broke_off(self)
        self._desk.left()

    # ---- the parser calls

    def on_message_begin(self) -> None:
        """A request begins."""
        if self._head is not None:
            raise ValueError("the next request came before the answer")
        self._collector = Collector()
        self._body.clear()
        self._wait()

    def on_url(self, url: bytes) -> None:
        """Take a part of the target."""
        self._collector.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._collector.on_header(name, value)

    def on_headers_complete(self) -> None:
        """Decide about the request; a POST is the session's only one from here on."""
        self._keeps = self._parser.should_keep_alive()
        head = self._head = request_of(self._parser.get_method(), self._collector)
        if not is_polling(head):
            self._other = True
            raise ValueError("not for us")
        try:
            self._mailbox = self._desk.arrive(head)
            if self._mailbox is None or head.method != b"POST":
                return
            if not self._mailbox.begin_post(self):
                self._mailbox = None
                raise Refusal("400 Bad Request", "overlap", b"")
            if head.headers.get(b"content-type") == b"application/octet-stream":
                self._mailbox.close()
                raise Refusal("400 Bad Request", "binary_body", b"")
        except Refusal as refusal:
            self._refusal = refusal

    def on_body(self, body: bytes) -> None:
        """Take a part of what is posted."""
        if self._refusal is None:
            self._body += body
            if len(self._body) > self._desk.max_body_bytes:
                self._refusal = Refusal("413 Payload Too Large", "body_too_big", b"")  # once the client is through
                self._body.clear()

    def on_message_complete(self) -> None:
        """Answer the request, or have it answered."""
        self._stop_waiting()
        if self._transport.is_closing():
            return
        head, mailbox = self._head, self._mailbox
        assert head is not None
        try:
            if self._refusal is not None:
                raise self._refusal
            if mailbox is None:
                self._desk.open(self)
            elif head.method == b"GET":
                if not mailbox.fetch(self):
                    self._mailbox = None
                    raise Refusal("400 Bad Request", "overlap", b"")
            elif head.method != b"POST":
                raise Refusal("500 Internal Server Error", "method", b"")
            else:
                mailbox.post(bytes(self._body))
                self.answer("200 OK", b"ok", "text/html")
        except Refusal as refusal:
            self._refuse(refusal)

    # ---- a session answers

    def answer(self, status: str, body: bytes, content_type: str, headers: str = _NO_STORE) -> None:
        """Send the answer of the request at hand, and wait for the next one if the client wants that."""
        keeps = self._keeps
        kind = f"Content-Type: {content_type}\r\n" if content_type else ""
        connection = "keep-alive" if keeps else "close"
        head = f"HTTP/1.1 {status}\r\n{kind}Content-Length: {len(body)}\r\n{headers}Connection: {connection}\r\n\r\n"
        self._head = self._mailbox = self._refusal = None
        self._received.clear()
        if self._transport.is_closing():
            return
        self._transport.write(head.encode("ascii") + body)
        if keeps:
            self._wait()
        else:
            self._transport.close()

    def cut(self) -> None:
        """End the connection, with or without an answer owed."""
        self._transport.abort()

    # ---- inside

    def _refuse(self, refusal: Refusal) -> None:
        self._desk.count(refusal.reason)
        if self._mailbox is not None:
            self._mailbox.end_post(self)
        self.answer(refusal.status, refusal.body, refusal_kind(refusal), refusal.headers)

    def _wait(self) -> None:
        self._stop_waiting()
        self._waiting = asyncio.get_running_loop().call_later(self._desk.patience_s, self._transport.abort)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
