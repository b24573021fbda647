"""A WebSocket that may become the transport of a session that polls.

    101 --"2probe"--> "3probe", polls are answered with noops --"5"--> the session's own, with all that waits for it
     \\--anything else, another probe is under way, no "5" in time, the session ends--> closed; the session polls on

The law: until the "5" nothing of the session goes here; from it on nothing goes anywhere else.
Source: engine.io-protocol v4, "Upgrade"; engine.io's `socket.js`, `_maybeUpgrade`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from wsproto.frame_protocol import Opcode

from reference_gateway import wire

from . import packets
from .framing import Assembly, FramingError, Received, close_frame, is_close, pong_frame, text_frame
from .mailbox import Mailbox

if TYPE_CHECKING:
    from .server import Node


class Probe(asyncio.Protocol):
    """One attempt to upgrade."""

    def __init__(self, node: Node, mailbox: Mailbox, transport: asyncio.Transport) -> None:
        self._node = node
        self._mailbox = mailbox
        self._transport = transport
        self._assembly = Assembly()
        self._over = False  # closed, or become the session's
        self._timer: asyncio.TimerHandle | None = None

    def start(self, switch: bytes, rest: bytes) -> None:
        """Write the 101, and go on with what came behind the request."""
        self._transport.write(switch)
        self._end_in(self._node.settings.handshake_timeout_s, self.end)
        if not self._mailbox.claim(self):
            self.end()
        elif rest:
            self.data_received(rest)

    def data_received(self, data: bytes) -> None:
        """Take a chunk of frames."""
        if self._over:
            if is_close(data):
                self._transport.close()
            return
        try:
            for received in self._node.frames.feed(self._assembly, data):
                if not self._receive(received):
                    return
        except FramingError:
            self.end()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The client is gone from here; it may still poll."""
        self._stop()
        self._node.lost()

    def end(self) -> None:
        """Close the WebSocket, and let the session poll on."""
        if self._over:
            return
        self._stop()
        self._node.measures.closes[wire.PROTOCOL_ERROR.code] += 1
        self._transport.write(close_frame(wire.PROTOCOL_ERROR))
        self._end_in(self._node.settings.close_grace_s, self._transport.abort)

    def _receive(self, received: Received) -> bool:
        """Do as a message says; return whether more are expected here."""
        kind, payload = received
        if kind is Opcode.TEXT and payload == packets.PROBE_TEXT:
            self._transport.write(text_frame(packets.PROBED_TEXT))
            self._mailbox.hurry()
        elif kind is Opcode.TEXT and payload == packets.UPGRADE_TEXT and not self._mailbox.session.closing:
            self._become()
        elif kind is Opcode.PING and isinstance(payload, bytes):
            self._transport.write(pong_frame(payload))
        elif kind is not Opcode.PONG:
            self.end()
            if kind is Opcode.CLOSE:
                self._transport.close()
        return not self._over

    def _become(self) -> None:
        """Give the connection, and what came behind the "5", to the session."""
        self._stop()
        session, rest = self._mailbox.session, bytes(self._assembly.tail)
        self._transport.set_protocol(session)
        self._node.upgraded()
        self._mailbox.move(self._transport)
        if rest:
            session.data_received(rest)

    def _stop(self) -> None:
        """Try no more."""
        self._over = True
        self._mailbox.release(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end_in(self, seconds: float, end: Callable[[], None]) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, end)
