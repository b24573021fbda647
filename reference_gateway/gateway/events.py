"""What a client says in a namespace: a subscription is the hub's, everything else the private API's.

event --subscribe, unsubscribe--> hub (and recovery notes the room)
   \\--any other-----------------> upstream
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

from reference_gateway import wire

from .hub import Subscriber
from .upstream import Caller

if TYPE_CHECKING:
    from .server import Node


class Speaker(Subscriber, Caller, Protocol):
    """Who speaks: a session in the namespace "/", a member in another."""

    sid: str


def take(node: Node, speaker: Speaker, data: list[object], ack: str | None) -> None:
    """Take an event: its name and arguments."""
    node.measures.messages_in += 1
    name, args = cast(str, data[0]), data[1:]
    if name not in (wire.SUBSCRIBE, wire.UNSUBSCRIBE):
        node.upstream.submit(speaker, name, args, ack)
        return
    try:
        collection = wire.collection_of(args)
    except wire.WireError as error:
        speaker.answer(ack, wire.refused(str(error)))
        return
    if node.recovery is not None:
        node.recovery.note(speaker.sid, collection, inside=name == wire.SUBSCRIBE)
    if name == wire.SUBSCRIBE:
        node.hub.subscribe(speaker, collection, ack)
    else:
        speaker.answer(ack, wire.accepted(node.hub.unsubscribe(speaker, collection)))
