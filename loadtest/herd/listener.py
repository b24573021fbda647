"""What peers say: chunks become events, messages go into the ledger, the rest moves the session on.

    chunk --interned--> events --> Delivered: ledger | Pinged: reply | Joined, Acked, Closed ...: the herd
       \\--partial, fragmented, attachments--> a reader of its own, until the slot is between messages again

Law: a peer's fault ends its own connection, counted by reason. Slots with a reader are not quick.
"""

from __future__ import annotations

from typing import Protocol

from loadtest.clock import NS_PER_S, Clock
from loadtest.errors import ProtocolError, RemoteProtocolError
from loadtest.herd.account import Account
from loadtest.herd.clients import Hooks
from loadtest.herd.interner import Interner
from loadtest.herd.resuming import Resuming
from loadtest.herd.states import JOINING, SUBSCRIBING
from loadtest.herd.wires import Wires
from loadtest.metrics.book import Book
from loadtest.metrics.ledger import Ledger
from loadtest.protocol.dialect import Dialect, Resumption
from loadtest.protocol.events import Acked, Closed, Delivered, Event, Joined, Left, Opened, Partial, Pinged, Refused
from loadtest.protocol.frames import BINARY, MAX_MESSAGE_BYTES, TEXT, MessageReader
from loadtest.protocol.hint import in_text

FIRST_FREE_REQUEST = 1000
"""Request numbers below are the herd's own subscriptions (the group's number); callers number from here."""


class Sessions(Protocol):
    """What a listener asks of its herd."""

    def opened(self, slot: int, patience_ns: int, resumption: Resumption | None) -> None:
        """The transport session stands, with a heartbeat at least every `patience_ns`.

        `resumption`: what the client offers to have its last session recovered.
        """

    def joined(self, slot: int, now_ns: int) -> None:
        """The application let the client in."""

    def subscribed(self, slot: int, answer: Acked, now_ns: int) -> None:
        """A subscription was answered."""

    def acknowledged(self, slot: int, requests: tuple[int, ...], now_ns: int) -> None:
        """Subscriptions were answered, all of them with yes."""

    def heard(self, slot: int, now_ns: int) -> None:
        """The peer's heartbeat came."""

    def reached(self, slot: int, now_ns: int) -> None:
        """A message of this run came."""

    def transmit(self, slot: int, frames: bytes) -> bool:
        """Send; False when the slot was lost by it."""

    def lose(self, slot: int, reason: str, hint_s: float | None = None) -> None:
        """End the slot's connection; `hint_s`: when the peer wants it to come back."""


class Listener:
    """Read for one herd.

    Args:
        states: of the slots, kept up to date. groups: subscriptions per slot. run: markers of other runs are foreign.
    """

    def __init__(
        self,
        sessions: Sessions,
        wires: Wires,
        dialect: Dialect,
        ledger: Ledger | None,
        hooks: Hooks | None,
        account: Account,
        *,
        states: bytearray,
        groups: int,
        run: str,
        clock: Clock,
    ) -> None:
        self.interner = Interner(dialect)
        self._sessions = sessions
        self._states = states
        self._wires = wires
        self._dialect = dialect
        self._ledger = ledger
        self._hooks = hooks
        self._account = account
        self._groups = groups
        self._run = run
        self._clock = clock
        self.resuming = Resuming(ledger, groups)
        self._readers: dict[int, MessageReader] = {}
        self._attachments: dict[int, tuple[Partial, list[bytes]]] = {}

    def forget(self, slot: int) -> None:
        """Drop what an ended connection left unfinished; what it has is asked before the books are settled."""
        self.resuming.ended(slot)
        self._readers.pop(slot, None)
        self._attachments.pop(slot, None)

    def chunk(self, slot: int, data: bytes, now: int, *, ended: bool = False) -> None:
        """Read a chunk that the hot loop did not know.

        Args:
            ended: the peer has ended its side already: whoever closes so does not wait for an answer to its close
                frame, which would only be answered by a reset.
        """
        try:
            if slot not in self._readers and slot not in self._attachments:
                opening = self._states[slot] == JOINING
                parcel = self.interner.find_opening(data) if opening else self.interner.find(data)
                if parcel is not None and parcel.acks is not None and self._hooks is None:
                    if self._states[slot] == SUBSCRIBING:
                        self._sessions.acknowledged(slot, parcel.acks, now)
                    return
                if parcel is not None and parcel.talk is not None:
                    if ended and isinstance(parcel.talk, Closed):
                        self._closed(slot, parcel.talk)
                    else:
                        self._converse(slot, parcel.talk, now)
                    return
                if parcel is not None and parcel.books is not None and not opening:
                    for book in parcel.books:
                        self.enter(slot, slot * self._groups + book.group, book, now)
                    return
                if parcel is not None:
                    books = self._handle(slot, parcel.events, now)
                    if self._hooks is None and len(books) == len(parcel.events):
                        parcel.books = tuple(books)
                    return
                self._readers[slot] = MessageReader()
                self._wires.make_quick(slot, on=False)
            self._read_slowly(slot, data, now)
        except ProtocolError as error:
            self._sessions.lose(slot, error.reason)

    def _read_slowly(self, slot: int, data: bytes, now: int) -> None:
        reader = self._readers.get(slot) or MessageReader()
        self._readers[slot] = reader
        for frame in reader.feed(data):
            partial = self._attachments.get(slot)
            if partial is not None and frame.opcode == BINARY:
                partial[1].append(frame.payload)
                if sum(map(len, partial[1])) > MAX_MESSAGE_BYTES:
                    raise RemoteProtocolError("the attachments of a message are too large", "message_too_large")
                if len(partial[1]) < partial[0].attachments:
                    continue
                del self._attachments[slot]
                events = self._dialect.decode_binary(*partial)
            elif partial is not None and frame.opcode == TEXT:
                raise RemoteProtocolError(
                    "a text message came before the attachments it interrupts", "malformed_packet"
                )
            else:
                events = self._dialect.decode(frame)
            self._handle(slot, events, now)
            if not self._wires.is_open(slot):
                return
        if not reader.pending and slot not in self._attachments:
            del self._readers[slot]
            self._wires.make_quick(slot, on=True)

    def _handle(self, slot: int, events: tuple[Event, ...], now: int) -> list[Book]:
        """Act on events in order, until one ends the connection; return the books of the messages of this run."""
        books: list[Book] = []
        for event in events:
            kind = type(event)
            if kind is Delivered:
                book = self._deliver(slot, event, now)  # type: ignore[arg-type]
                if book is not None:
                    books.append(book)
            elif kind is Pinged:
                if not self._sessions.transmit(slot, event.reply):  # type: ignore[union-attr]
                    break
                self._sessions.heard(slot, now)
            else:
                self._converse(slot, event, now)
                if len(events) > 1 and not self._wires.is_open(slot):
                    break
        return books

    def _converse(self, slot: int, event: Event, now: int) -> None:
        """Handle what is said at the beginning and the end of a session."""
        if isinstance(event, Opened):
            if self._states[slot] == JOINING:
                patience_ns = round((event.ping_interval_s + event.ping_timeout_s) * NS_PER_S)
                self._sessions.opened(slot, patience_ns, self.resuming.offer(slot))
        elif isinstance(event, Joined):
            if self._states[slot] == JOINING:
                self.resuming.joined(slot, event.pid)
                self._sessions.joined(slot, now)
        elif isinstance(event, Acked):
            own = event.id is not None and event.id < FIRST_FREE_REQUEST
            if self._states[slot] == SUBSCRIBING and (own or event.id is None):
                self._sessions.subscribed(slot, event, now)
            elif self._hooks is not None and not own:
                self._hooks.acked(slot, event)
        elif isinstance(event, Refused):
            self._sessions.lose(slot, "session_refused", event.retry_after_s)
        elif isinstance(event, Left):
            self._sessions.lose(slot, "disconnected_by_server")
        elif isinstance(event, Closed):
            self._wires.send(slot, event.reply)
            self._closed(slot, event)
        elif isinstance(event, Partial):
            self._attachments[slot] = (event, [])

    def _closed(self, slot: int, event: Closed) -> None:
        self._sessions.lose(slot, f"close_{event.code}", in_text(event.reason))

    def _deliver(self, slot: int, message: Delivered, now: int) -> Book | None:
        marker = message.marker
        book: Book | None = None
        if marker is not None and self._ledger is not None:
            if marker.run == self._run:
                book = self._ledger.book(*marker[1:], now)
                if book is not None:
                    self.resuming.read(slot, book, message.args)
                    self.enter(slot, slot * self._groups + book.group, book, now)
            else:
                self._account.counts["foreign"] += 1
        else:
            self._account.counts["received"] += 1
        if self._hooks is not None:
            self._hooks.message(slot, message)
        return book

    def enter(self, slot: int, subscription: int, book: Book, now: int) -> None:
        """Enter a delivery that is not simply the next in order."""
        assert self._ledger is not None
        first = self._ledger.held[subscription] is book.prev
        if first:
            self._ledger.held[subscription] = book
            book.times.append(now)
        else:
            first = self._ledger.received(subscription, book, now)
            self.resuming.entered(slot, book)
        if first and self._wires.witnesses.wants(slot):
            self._wires.witnesses.saw(slot, book.sched_ns, now)
        self._sessions.reached(slot, now)
