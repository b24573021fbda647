"""Clients that poll, and their way to a WebSocket: Engine.IO's HTTP long-polling, for one node.

    GET  no sid          -> open a session             <- 0{"sid", "upgrades": ["websocket"], ...}
    GET  sid             -> its mailbox: fetch         <- packets, when there are any
    POST sid, packets    -> its mailbox: post          <- ok
    WebSocket, sid       -> Probe: 2probe -> 3probe, 5 -> the session goes on here, its mailbox is forgotten

The law: a polling session lives in one process, which all its requests have to reach: a client that starts by polling
needs a node of its own address, or a proxy that pins it, and a node with one descriptor table. After the upgrade it is
what any WebSocket session is. What is refused is refused in engine.io's order and words.
Source: engine.io-protocol v4; engine.io 6.6 `server.js` (verify, handshake) and `socket.js` (_maybeUpgrade).
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, cast

from . import packets
from .exchange import Exchange
from .handshake import WEBSOCKET, Request, engineio_refusal
from .mailbox import Mailbox
from .probe import Probe

if TYPE_CHECKING:
    from .server import Node
    from .session import Session


class Polling:
    """All sessions of one node that poll. Create it inside the event loop."""

    def __init__(self, node: Node) -> None:
        settings = node.settings
        self._node = node
        self._mailboxes: dict[bytes, Mailbox] = {}
        self.max_head_bytes = settings.max_head_bytes
        self.max_body_bytes = settings.max_message_bytes
        self.patience_s = settings.handshake_timeout_s

    def __len__(self) -> int:
        """Sessions that poll."""
        return len(self._mailboxes)

    def __contains__(self, sid: object) -> bool:
        """Whether a session of that name polls."""
        return sid in self._mailboxes

    def adopt(self, session: Session, data: bytes) -> None:
        """Take over the TCP connection of `session`, which has received `data`: a request and what follows it.

        Raises:
            Refusal: the node has several descriptor tables, and the kernel deals the connections out.
        """
        if self._node.settings.tables > 1:
            raise engineio_refusal(0)
        exchange = Exchange(self, session.transport)
        session.hand_over(exchange)
        exchange.data_received(data)

    def upgrade(self, session: Session, switch: bytes, sid: bytes, rest: bytes) -> None:
        """Take over the TCP connection of `session`: a WebSocket that may become that of the polling session `sid`."""
        probe = Probe(self._node, self._mailboxes[sid], session.transport)
        session.hand_over(probe)
        probe.start(switch, rest)

    # ---- an exchange calls

    def arrive(self, head: Request) -> Mailbox | None:
        """Check a request; return the session it belongs to, None for a handshake."""
        sid = head.query.get(b"sid")
        fourth = head.query.get(b"EIO") == b"4"
        if sid:
            mailbox = self._mailboxes.get(sid)
            if mailbox is None:
                raise engineio_refusal(1)
            if not fourth:
                raise engineio_refusal(3)
            return mailbox
        if head.method != b"GET":
            raise engineio_refusal(2)
        if not fourth:
            raise engineio_refusal(5)
        return None

    def open(self, exchange: Exchange) -> None:
        """Open a session."""
        node = self._node
        node.check_room()
        sid = packets.new_id()
        key = sid.encode()
        session = node.new_session()
        mailbox = Mailbox(session, node.settings.queue_bytes, partial(self._forget, key))
        self._mailboxes[key] = mailbox
        session.transport = cast(asyncio.Transport, mailbox)  # all of one that a session uses
        node.open(session)
        settings = node.settings
        hello = packets.open_text(
            sid,
            settings.ping_interval_s,
            settings.ping_timeout_s,
            settings.max_message_bytes,
            upgrades=(WEBSOCKET.decode(),),
        )
        exchange.answer("200 OK", hello.encode(), "text/plain; charset=UTF-8")

    def give_back(self, transport: asyncio.Transport, data: bytes) -> None:
        """Begin anew with a connection that was adopted."""
        session = self._node.take_back(transport)
        transport.set_protocol(session)
        session.data_received(data)

    def count(self, reason: str) -> None:
        """Count a refusal."""
        self._node.measures.rejected[reason] += 1

    def left(self) -> None:
        """Count a TCP connection that is gone."""
        self._node.lost()

    # ---- inside

    def _forget(self, sid: bytes) -> None:
        del self._mailboxes[sid]
