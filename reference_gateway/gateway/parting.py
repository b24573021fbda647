"""What a client says to a node that is on its way out, or that has closed it already without its knowing.

    CONNECT ----------------------->  "44": come back in so many seconds       a node that drains begins nothing new

    our close frame --------------->        (no ack may follow it)
              <---- edit, edit ----         sent before the client knew: `receive_last` carries them out
              <---- its close frame         the end

Law: only for a client that did nothing wrong and may come back. Its subscriptions are gone with our close frame; what
it asks about them now is not looked at. Source: RFC 6455, 5.5.1: after a Close frame no data is sent, but received.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from wsproto.frame_protocol import Opcode

from reference_gateway import wire

from . import packets
from .framing import Assembly, FramingError, text_frame

if TYPE_CHECKING:
    from .session import Session


def turned_away(session: Session) -> bool:
    """Refuse a CONNECT, with a slot, if the node is about to end and hands out slots; return whether it did."""
    node = session.node
    if not node.draining or node.admission is None or node.admission.slots is None:
        return False
    after_s = round(node.admission.slots.take(asyncio.get_running_loop().time()), 3)
    refusal = packets.connect_error_text("/", "this node is being deployed", {"retry_after_s": after_s})
    node.writer.send(session, text_frame(refusal))
    return True


def receive_last(session: Session, data: bytes) -> None:
    """Take a chunk of a client that is closed and may not know it yet."""
    assembly = session.assembly = cast(Assembly | None, session.assembly) or Assembly()
    try:
        for kind, payload in session.node.frames.feed(assembly, data):
            if kind is Opcode.CLOSE:
                session.transport.close()
                return
            if kind is Opcode.TEXT:
                _carry_out(session, cast(str, payload))
    except (FramingError, packets.PacketError):
        session.transport.abort()


def _carry_out(session: Session, text: str) -> None:
    if not text.startswith("4" + packets.EVENT):
        return
    packet = packets.parse(text)
    name, *args = cast(list[object], packet.data)
    if packet.namespace == "/" and name not in (wire.SUBSCRIBE, wire.UNSUBSCRIBE):
        session.node.measures.messages_in += 1
        session.node.upstream.submit(session, cast(str, name), args, None)
