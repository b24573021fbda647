"""What a client says: it joins and leaves namespaces; in one, subscriptions are the hub's, the rest the private API's.

CONNECT --> Session ("/") or Member --(recovery)--> joined
event   --> subscribe, unsubscribe: hub (and recovery notes the room); any other: upstream
ack     --> upstream, if an event asked for it
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

from reference_gateway import wire

from . import packets
from .hub import Subscriber
from .namespaces import Member
from .parting import turned_away
from .phrases import Wish
from .upstream import Caller

if TYPE_CHECKING:
    from .server import Node
    from .session import Session


class Speaker(Subscriber, Caller, Protocol):
    """Who speaks: a session in the namespace "/", a member in another."""

    sid: str

    @property
    def joined(self) -> bool:
        """Whether it is in its namespace."""
        ...

    def leave(self) -> None:
        """Leave it."""


def receive(session: Session, packet: packets.Packet) -> None:
    """Take a packet.

    Raises:
        PacketError: the client is not in the namespace, or in it already; the caller closes the session.
    """
    kind, namespace, ack, data = packet
    if kind == packets.CONNECT:
        if namespace == "/":
            connect(session, data)
        else:
            _connect_elsewhere(session, namespace, data)
        return
    speaker: Speaker | None = session if namespace == "/" else session.member(namespace)
    if speaker is None or not speaker.joined:
        raise packets.PacketError("not connected to this namespace")
    if kind == packets.EVENT:
        take(session.node, speaker, cast(list[object], data), ack)
    elif kind == packets.DISCONNECT:
        speaker.leave()
    elif session.aside is not None:
        event = session.aside.answered(namespace, ack)
        if event is not None:
            session.node.upstream.submit(speaker, event, cast(list[object], data or []), None, acknowledged=True)


def connect(session: Session, auth: object) -> None:
    """Take a CONNECT to the namespace "/".

    Raises:
        PacketError: the client is there already; the caller closes the session.
    """
    if session.node.draining and turned_away(session):
        return
    if session.joined:
        raise packets.PacketError("already connected to this namespace")
    _enter(session.node, session, auth)


def _connect_elsewhere(session: Session, namespace: str, auth: object) -> None:
    if namespace not in session.node.settings.namespaces:
        session.tell(packets.connect_error_text(namespace[: wire.MAX_EVENT_CHARS], "Invalid namespace"))
        return
    members = session.set_aside().members
    if namespace in members:
        raise packets.PacketError("already connected to this namespace")
    members[namespace] = Member(session, namespace)
    _enter(session.node, members[namespace], auth)


def _enter(node: Node, newcomer: Session | Member, auth: object) -> None:
    """Have a client join under the name that it gives itself, or its session."""
    claimed = auth.get("client") if isinstance(auth, dict) else None
    if isinstance(claimed, str) and 0 < len(claimed) <= wire.MAX_CLIENT_CHARS:
        newcomer.client = claimed
    if node.recovery is not None:
        node.recovery.connect(newcomer, auth)
    else:
        newcomer.join(node.names.take(), None)


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
    if name == wire.SUBSCRIBE:
        _subscribe(node, speaker, collection, ack)
        return
    if node.recovery is not None:
        node.recovery.note(speaker.sid, collection, inside=False)
    speaker.accept(ack, node.hub.unsubscribe(speaker, collection))


def subscribe(node: Node, session: Session, wish: Wish) -> None:
    """Take a request to subscribe that is read already."""
    node.measures.messages_in += 1
    _subscribe(node, session, wish.collection, wish.ack)


def _subscribe(node: Node, speaker: Speaker, collection: str, ack: str | None) -> None:
    if node.recovery is not None:
        node.recovery.note(speaker.sid, collection, inside=True)
    node.hub.subscribe(speaker, collection, ack)
