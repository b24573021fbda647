"""The bytes of every slot: descriptors, output that did not fit, TLS.

    slot <-> fd, edge triggered: in and hang-up always; out where a connection did not stand at once, or once output
                 had to wait (and from then on: an edge that nobody waits for comes only along with another)

Law: plain slots in full session, and those that wait for the answer to what they sent at once, are *quick*: their
descriptor is read by the sweep (`quick[fd]` is the slot).
Everything else goes through `receive`, also a slot with output waiting, whose next edge must be seen, and the few whose
arrivals the kernel stamps (`queue_delay`) or whose messages are noted one by one (`witnesses`). A slot that sips is
read only by who makes it sip. Nothing here knows what the bytes mean.
"""

from __future__ import annotations

import os
import ssl
from array import array

from loadtest.herd import sockets
from loadtest.herd.poller import EPOLLET, EPOLLOUT, Poller
from loadtest.herd.queue_delay import QueueDelay
from loadtest.herd.quick import READ_BYTES, WATCHED, Quick, best
from loadtest.herd.sockets import Target
from loadtest.herd.tls import TlsSession, reason_of_tls
from loadtest.herd.witnesses import Witnesses

MOST_READS = 64
"""Reads of one slot in one go: bounds what a flooding peer can take of a turn."""
MAX_OUTBOX_BYTES = 4 << 20


class Wires:
    """Connections of one herd on one poller; `dial` begins them, `queue_delay` gets what sampled ones waited."""

    def __init__(
        self, poller: Poller, queue_delay: QueueDelay, *, quick: Quick | None = None, late_acks: bool = False
    ) -> None:
        self._poller = poller
        way = quick or best()
        self._dial = way.dial
        self._ack_at_once = way.ack_at_once
        self._queue_delay = queue_delay
        self._late_acks = late_acks
        self._fd = array("i")
        self.slot_of: list[int] = []
        self.quick: list[int] = []
        self._wants_quick = bytearray()
        self._outbox: dict[int, bytearray] = {}
        self._tls: dict[int, TlsSession] = {}
        self.sipping: set[int] = set()
        self.witnesses = Witnesses()

    def grow(self, slots: int) -> None:
        """Make room for `slots` slots in all."""
        self._fd.extend([-1] * (slots - len(self._fd)))
        self._wants_quick.extend(bytes(slots - len(self._wants_quick)))
        self._queue_delay.grow(slots)
        self.witnesses.grow(slots)

    def is_open(self, slot: int) -> bool:
        """Whether the slot has a descriptor."""
        return self._fd[slot] >= 0

    def open(self, slot: int, target: Target, source: str | None, first: bytes = b"") -> tuple[bool, str | None]:
        """Begin a connection and send its `first` bytes if it stands at once, as connections over loopback do.

        Returns:
            (whether `first` was sent, None), or (False, why it failed at once). Not sent: the poller says when to.

        Cost: what is sent at once saves a turn of the poller and two system calls.
        """
        fd, sent, reason = self._dial(self._poller, target, source, self._late_acks, first)
        if reason is not None:
            return False, reason
        while len(self.slot_of) <= fd:
            self.slot_of.append(-1)
            self.quick.append(-1)
        self._fd[slot] = fd
        self.slot_of[fd] = slot
        if sent == len(first) > 0:
            self.quick[fd] = slot
        elif sent:
            self._outbox[slot] = bytearray(first[sent:])
        return sent > 0, None

    def ack_at_once(self, slot: int) -> None:
        """End late acknowledgements, if there are any: the conversation is over, messages come."""
        if self._late_acks:
            self._ack_at_once(self._fd[slot])

    def error(self, slot: int) -> str | None:
        """Return why the slot's connection failed, None when it stands."""
        return sockets.pending_error(self._fd[slot])

    def begin_tls(self, slot: int, target: Target) -> str | None:
        """Start the TLS handshake on an established connection."""
        assert target.tls is not None
        try:
            session = self._tls[slot] = TlsSession(target.tls, target.server_name)
            session.feed(b"")
        except ssl.SSLError as error:
            return reason_of_tls(error)
        except ValueError:  # a bootstrap may name anything
            return "tls_server_name"
        return self._write(slot, session.pending())

    def is_secure(self, slot: int) -> bool:
        """Whether the slot's TLS handshake is complete."""
        session = self._tls.get(slot)
        return session is not None and session.established

    def make_quick(self, slot: int, *, on: bool) -> None:
        """Let the herd read this slot's descriptor directly (plain slots without waiting output), or stop it."""
        self._wants_quick[slot] = on
        self._settle(slot)

    def _settle(self, slot: int) -> None:
        watched = slot in self._queue_delay.watched or self.witnesses.wants(slot)
        plain = not watched and slot not in self._tls and slot not in self.sipping
        quick = self._wants_quick[slot] and plain and slot not in self._outbox
        self.quick[self._fd[slot]] = slot if quick else -1

    def sample(self, slot: int) -> None:
        """Measure from now on how long what arrives on this slot waits to be read, if the slot is of the sample."""
        if self._queue_delay.wants(slot) and self.is_open(slot) and sockets.stamp_arrivals(self._fd[slot]):
            self._queue_delay.watched.add(slot)
            self._settle(slot)

    def send(self, slot: int, data: bytes) -> str | None:
        """Send `data`, keeping what does not fit; return why it cannot be sent, or None."""
        if not self._tls:
            return self._write(slot, data)
        session = self._tls.get(slot)
        if session is not None and data:
            try:
                session.seal(data)
            except ssl.SSLError as error:
                return reason_of_tls(error)
            data = session.pending()
        return self._write(slot, data)

    def _write(self, slot: int, data: bytes) -> str | None:
        if self._outbox and (waiting := self._outbox.get(slot)) is not None:
            waiting += data
            return "outbox_full" if len(waiting) > MAX_OUTBOX_BYTES else None
        if not data:
            return None
        try:
            written = os.write(self._fd[slot], data)
        except BlockingIOError:
            written = 0
        except OSError as error:
            return sockets.reason_of(error.errno)
        if written < len(data):
            self._outbox[slot] = bytearray(data[written:])
            self._poller.modify(self._fd[slot], WATCHED)
            self._settle(slot)
        return None

    def flush(self, slot: int) -> str | None:
        """Send what waited for room."""
        waiting = self._outbox.pop(slot, None)
        if waiting is None:
            return None
        reason = self._write(slot, bytes(waiting))
        self._settle(slot)
        return reason

    def receive(self, slot: int, *, to_the_end: bool = True) -> tuple[bytes, str | None]:
        """Read all there is; return (bytes, None) or (bytes, why the connection ended).

        Args:
            to_the_end: False saves a read where the edge told of no hang-up: a short read has emptied the socket, and
                whatever comes later, an end too, makes an edge of its own.
        """
        if slot in self.sipping:
            return b"", None
        fd = self._fd[slot]
        stamped = slot in self._queue_delay.watched
        parts: list[bytes] = []
        end: str | None = None
        for _ in range(MOST_READS):
            try:
                data = self._read_stamped(fd) if stamped else os.read(fd, READ_BYTES)
            except BlockingIOError:
                break
            except OSError as error:
                end = sockets.reason_of(error.errno)
                break
            if not data:
                end = "eof"
                break
            parts.append(data)
            if len(data) < READ_BYTES and not to_the_end:
                break
        else:
            self._poller.modify(fd, WATCHED)  # more is waiting: ask for a fresh edge
        return self._opened(slot, parts[0] if len(parts) == 1 else b"".join(parts), end)

    def _opened(self, slot: int, chunk: bytes, end: str | None) -> tuple[bytes, str | None]:
        """Return what was read, out of its TLS."""
        session = self._tls.get(slot)
        if session is None:
            return chunk, end
        try:
            plain = session.feed(chunk)
        except ssl.SSLError as error:
            self._write(slot, session.pending())  # the alert, as far as it goes
            return b"", reason_of_tls(error)
        return plain, end or self._write(slot, session.pending()) or ("eof" if session.ended else None)

    # --- little at a time --------------------------------------------------------------------------------------------

    def sip(self, slot: int, buffer_bytes: int) -> None:
        """From now on read this slot by `receive_some` only; the kernel keeps little of what waits."""
        self.sipping.add(slot)
        self._settle(slot)
        sockets.shrink_receive_buffer(self._fd[slot], buffer_bytes)
        self._poller.modify(self._fd[slot], EPOLLOUT | EPOLLET)

    def gulp(self, slot: int) -> None:
        """Read this slot as any other again; its buffer stays small."""
        self.sipping.discard(slot)
        self._settle(slot)
        self._poller.modify(self._fd[slot], WATCHED)

    def receive_some(self, slot: int, most_bytes: int) -> tuple[bytes, str | None]:
        """Read up to `most_bytes` from the socket; return as `receive`."""
        try:
            data = os.read(self._fd[slot], most_bytes)
        except BlockingIOError:
            return b"", None
        except OSError as error:
            return b"", sockets.reason_of(error.errno)
        return self._opened(slot, data, None if data else "eof")

    def surrender(self, slot: int) -> int:
        """Give the slot's descriptor away, open and watched by nobody."""
        fd = self._fd[slot]
        self._poller.unregister(fd)
        self._part(slot)
        return fd

    def _read_stamped(self, fd: int) -> bytes:
        data, arrived_wall_ns = sockets.read_stamped(fd, READ_BYTES)
        if arrived_wall_ns is not None:
            self._queue_delay.enter(arrived_wall_ns)
        return data

    def close(self, slot: int, *, reset: bool = False) -> None:
        """Close the slot's connection, if it has one."""
        fd = self._fd[slot]
        if fd >= 0:
            self._part(slot)
            sockets.close(fd, reset=reset)

    def _part(self, slot: int) -> None:
        """Forget all there was about the slot's connection."""
        fd = self._fd[slot]
        self._fd[slot] = -1
        self.slot_of[fd] = self.quick[fd] = -1
        self._wants_quick[slot] = False
        self._queue_delay.watched.discard(slot)
        self.sipping.discard(slot)
        self._outbox.pop(slot, None)
        self._tls.pop(slot, None)
