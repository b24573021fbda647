"""What a peer said, as small immutable values: the only thing a dialect hands to the herd.

Law: an event depends on the bytes of its frame alone, so one decoded event may be shared by every connection that
received the same bytes. `KIND` is a dense integer for dispatch through a table.

    Opened -> (join) -> Joined | Refused -> (subscribe) -> Acked -> Delivered ... -> Left | Closed
                        at any time: Pinged, Ignored, Partial
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from loadtest.protocol.marker import Marker


@dataclass(frozen=True, slots=True)
class Opened:
    """The transport session is open and names its heartbeat; answer with `Dialect.join`."""

    KIND: ClassVar[int] = 0
    sid: str
    ping_interval_s: float
    ping_timeout_s: float


@dataclass(frozen=True, slots=True)
class Joined:
    """The application accepted the client; subscriptions may be sent.

    `pid` is the name under which the server may recover the session later, "" if it does not offer that.
    """

    KIND: ClassVar[int] = 1
    sid: str
    pid: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """The application turned the client away; `retry_after_s` is the server's hint, None without one."""

    KIND: ClassVar[int] = 2
    message: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Acked:
    """A request was answered.

    `id` is the request's number, None in dialects that do not number requests. `ok` is False when the answer fails
    the profile's rule (`ack_path`, `ack_equals`); without a rule every answer is ok.
    """

    KIND: ClassVar[int] = 3
    id: int | None
    args: tuple[Any, ...] = ()
    ok: bool = True


@dataclass(frozen=True, slots=True)
class Delivered:
    """A message of the application arrived.

    `marker` is None when there is none where the profile says it sits. `event` is None in dialects without event
    names. `id` is set when the peer asks for an acknowledgement (Socket.IO).
    """

    KIND: ClassVar[int] = 4
    marker: Marker | None
    event: str | None = None
    args: tuple[Any, ...] = ()
    id: int | None = None


@dataclass(frozen=True, slots=True)
class Pinged:
    """A heartbeat; `reply` is the whole frame to write back."""

    KIND: ClassVar[int] = 5
    reply: bytes


@dataclass(frozen=True, slots=True)
class Left:
    """The server ended the session inside a still open transport; the client closes it and may come back."""

    KIND: ClassVar[int] = 6
    reason: str


@dataclass(frozen=True, slots=True)
class Closed:
    """A WebSocket close frame: `code` 1005 when it carried none; `reply` is the close frame to answer with."""

    KIND: ClassVar[int] = 7
    code: int
    reason: str
    reply: bytes


@dataclass(frozen=True, slots=True)
class Ignored:
    """Legal, and nothing to do: pong, noop, a packet of another namespace."""

    KIND: ClassVar[int] = 8


@dataclass(frozen=True, slots=True)
class Partial:
    """A packet whose next `attachments` binary frames on the same connection belong to it.

    Collect their payloads and hand both to `Dialect.decode_binary`; given to `decode`, such a frame is a fault, so a
    caller that reads several frames at once stops decoding here. `header` is opaque to the caller.
    """

    KIND: ClassVar[int] = 9
    attachments: int
    header: Any


Event = Opened | Joined | Refused | Acked | Delivered | Pinged | Left | Closed | Ignored | Partial

KINDS: tuple[type[Event], ...] = (
    Opened,
    Joined,
    Refused,
    Acked,
    Delivered,
    Pinged,
    Left,
    Closed,
    Ignored,
    Partial,
)
"""Event classes by `KIND`: `KINDS[event.KIND] is type(event)`."""

IGNORED: tuple[Event, ...] = (Ignored(),)
