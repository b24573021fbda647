"""What few connections have: namespaces besides "/", a packet that waits for its attachments, acks that clients owe.

    session --aside--> Aside: members (namespace -> Member), partial, asked
    hub, upstream, recovery --> Member, as if it were a session --"/name," put in--> the session's transport

The law: a connection that has none of these pays one empty slot. In each namespace that the node serves the same
application listens; a member has subscriptions, a name and calls of its own, and shares the connection with the others.
Source: socket.io-protocol v5, "Connection to a namespace".
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from reference_gateway import wire

from . import packets
from .binary import BYTES, Partial, detach
from .framing import binary_frame, payload_of, text_frame

if TYPE_CHECKING:
    from .hub import Channel
    from .session import Session

_NOTE: Final = f'"{BYTES}"'
#: Acks that one connection may owe us; of those on top the answer is not waited for.
MOST_ASKED: Final = 64


class Member:
    """A connection's part in one namespace other than "/"."""

    __slots__ = ("_session", "calls", "channels", "client", "joined", "namespace", "sid")

    def __init__(self, session: Session, namespace: str) -> None:
        self._session = session
        self.namespace = namespace
        self.channels: tuple[Channel, ...] = ()
        self.client = ""
        self.calls = 0
        self.sid = ""
        self.joined = False  # whether its CONNECT is answered

    @property
    def transport(self) -> Member:
        """Where broadcasts to it are written."""
        return self

    def write(self, frame: bytes) -> None:
        """Send the frame of an event of the namespace "/" as one of this namespace."""
        text = payload_of(frame).decode()
        self._session.transport.write(text_frame(f"{text[:2]}{self.namespace},{text[2:]}"))

    def drop_slow(self) -> None:
        """Close the connection: it does not read."""
        self._session.drop_slow()

    def join(self, sid: str, pid: str | None) -> bool:
        """Answer CONNECT; False if it is too late for that."""
        if self.joined or not self._session.is_member(self):
            return False
        self.client = self.client or sid
        self.sid = sid if pid is not None else ""
        self.joined = True
        self._session.joined_elsewhere(self, packets.connect_text(sid, pid, self.namespace))
        return True

    def leave(self) -> None:
        """Leave the namespace; the client may join again."""
        members = self._session.set_aside().members
        if members.get(self.namespace) is self:
            del members[self.namespace]
        if self.joined:
            self.joined = False
            self._session.node.parted(self, self.client)
        if not self._session.closing:
            self._session.node.heartbeat.opening(self._session)

    def answer(self, ack: str | None, argument: object) -> None:
        """Send an ack with one argument, if one was asked for and the member is still there."""
        self.answer_all(ack, (argument,))

    def accept(self, ack: str | None, revision: int) -> None:
        """Send the ack that says yes, if one was asked for and the member is still there."""
        self.answer(ack, wire.accepted(revision))

    def answer_all(self, ack: str | None, args: Sequence[object]) -> None:
        """Send an ack with these arguments, if one was asked for and the member is still there."""
        if ack is not None and self._session.is_member(self):
            self._session.send(frames_of(packets.ACK, self.namespace, ack, args))

    def emit(self, event: str, args: Sequence[object], *, ack: bool) -> None:
        """Send an event of the application, and ask for an ack if `ack`."""
        if self._session.is_member(self):
            self._session.emit_in(self.namespace, event, args, ack=ack)


class Aside:
    """What a session has set aside; made when it first needs it."""

    __slots__ = ("_asked", "_next_ack", "members", "partial")

    def __init__(self) -> None:
        self.members: dict[str, Member] = {}
        self.partial: Partial | None = None
        self._asked: dict[tuple[str, str], str] = {}
        self._next_ack = 0

    def ask(self, namespace: str, event: str) -> str | None:
        """Return the id under which an ack to `event` is asked for, None if too many are owed."""
        if len(self._asked) >= MOST_ASKED:
            return None
        ack = str(self._next_ack)
        self._next_ack += 1
        self._asked[namespace, ack] = event
        return ack

    def answered(self, namespace: str, ack: str | None) -> str | None:
        """Return the event that this ack answers, once; None if nobody asked for it."""
        return self._asked.pop((namespace, ack or ""), None)


@lru_cache(maxsize=1024)
def accepted_frame(ack: str, revision: int) -> bytes:
    """Encode the ack that says yes in the namespace "/". Cost: 0.1 us for one of the last 1,024."""
    return frames_of(packets.ACK, "/", ack, (wire.accepted(revision),))


def frames_of(kind: str, namespace: str, ack: str | None, args: Sequence[object]) -> bytes:
    """Encode an event or ack, and its attachments if there are bytes in it, as frames to be written in one piece.

    Cost: 1.5 us for a short ack.
    """
    text = packets.packet_text(kind, namespace, ack, args)
    if _NOTE not in text:
        return text_frame(text)
    attachments: list[bytes] = []
    bare = detach(list(args), attachments)
    if not attachments:
        return text_frame(text)
    text = packets.packet_text(kind, namespace, ack, bare, len(attachments))
    return text_frame(text) + b"".join(map(binary_frame, attachments))
