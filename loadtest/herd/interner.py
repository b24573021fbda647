"""Read a chunk once, look it up ever after: a fan-out delivers the same bytes to thousands of sockets.

    chunk --lookup--> Parcel                    the common case, one dictionary access
      \\--miss: split, decode--> Parcel, kept    only chunks of whole, unfragmented frames

Law: a parcel depends on the chunk's bytes alone. Memory is bounded by two generations: when the young one is full it
becomes the old one, and the old one is forgotten; what is still in use is looked up and moves back to the young. What
opens a session differs in the session's name alone, and is kept apart.
"""

from __future__ import annotations

from loadtest.metrics.book import Book
from loadtest.protocol.dialect import Dialect
from loadtest.protocol.events import Acked, Delivered, Event, Partial, Pinged
from loadtest.protocol.frames import CONTINUATION, split

MAX_ENTRIES = 4096
MAX_BYTES = 4 << 20
MAX_CHUNK_BYTES = 16_384
MAX_OPENING_BYTES = 1024
MAX_OPENINGS = 256
MAX_NAME_BYTES = 64
_NAME_BEGINS = b'"sid":"'
_NAME_CHARACTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
"""What differs between the chunks that open sessions is the session's name, which nobody here needs."""


class Parcel:
    """What a chunk says.

    `events` always. `talk`: the only event, if it is neither a message nor a ping: what sessions begin and end with.
    `acks`: the requests it answers, if it does nothing else and all answers are ok. `books`, set by whoever handled the
    events first, when they are nothing but messages of this run: the fast path; None for all others.
    """

    __slots__ = ("acks", "books", "events", "talk")

    def __init__(self, events: tuple[Event, ...]) -> None:
        self.events = events
        self.talk = events[0] if len(events) == 1 and not isinstance(events[0], Delivered | Pinged) else None
        ids = [event.id for event in events if isinstance(event, Acked) and event.ok and event.id is not None]
        self.acks = tuple(ids) if events and len(ids) == len(events) else None
        self.books: tuple[Book, ...] | None = None


class Interner:
    """Parcels by chunk, read by `dialect`."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self.young: dict[bytes, Parcel] = {}
        self._old: dict[bytes, Parcel] = {}
        self._bytes = 0
        self._openings: dict[tuple[int, bytes], Parcel] = {}

    def find(self, chunk: bytes) -> Parcel | None:
        """Return the parcel of `chunk`, read now if need be; None when it needs the slow path (a reader that keeps
        state: partial frames, fragments, attachments).

        Raises:
            ProtocolError: the peer's fault.
        """
        parcel = self.young.get(chunk)
        if parcel is not None:
            return parcel
        parcel = self._old.get(chunk)
        if parcel is None:
            parcel = self._read(chunk)
            if parcel is None:
                return None
        self._keep(chunk, parcel)
        return parcel

    def find_opening(self, chunk: bytes) -> Parcel | None:
        """As `find`, for what opens a session: chunks alike but for one session's name share the first one's parcel.

        The key holds the chunk's length, and a chunk that names two sessions is not shared.
        """
        begin = chunk.find(_NAME_BEGINS) + len(_NAME_BEGINS)
        end = chunk.find(b'"', begin)
        if (
            len(chunk) > MAX_OPENING_BYTES
            or begin < len(_NAME_BEGINS)
            or not 0 < end - begin <= MAX_NAME_BYTES
            or chunk[begin:end].translate(None, _NAME_CHARACTERS)
            or chunk.find(_NAME_BEGINS, end) >= 0
        ):
            return self._read(chunk)
        key = len(chunk), chunk[:begin] + chunk[end:]
        parcel = self._openings.get(key)
        if parcel is None:
            parcel = self._read(chunk)
            if parcel is not None and len(self._openings) < MAX_OPENINGS:
                self._openings[key] = parcel
        return parcel

    def _read(self, chunk: bytes) -> Parcel | None:
        frames, used = split(chunk)
        if used != len(chunk):
            return None
        events: list[Event] = []
        for frame in frames:
            if not frame.fin or frame.opcode == CONTINUATION:
                return None
            decoded = self._dialect.decode(frame)
            if any(type(event) is Partial for event in decoded):
                return None
            events.extend(decoded)
        return Parcel(tuple(events))

    def _keep(self, chunk: bytes, parcel: Parcel) -> None:
        if len(chunk) > MAX_CHUNK_BYTES:
            return
        if len(self.young) >= MAX_ENTRIES or self._bytes >= MAX_BYTES:
            # The dictionary itself is replaced: the herd's hot loop asks for `young` anew at each turn.
            self._old, self.young, self._bytes = self.young, {}, 0
        self.young[chunk] = parcel
        self._bytes += len(chunk)
