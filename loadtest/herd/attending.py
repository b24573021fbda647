"""What the sweep leaves over: answers to upgrades, unknown chunks, ends and errors, slots that are not quick.

    sweep --other--> quick, not in session: the answer to its upgrade --> Opening --> the herd
                 --> quick, in session: a chunk --> Listener, an end --> the herd
                 --> not quick: `attend`, which reads by itself

Law: a peer's fault ends its own connection, counted by reason.
"""

from __future__ import annotations

from errno import EAGAIN
from typing import TYPE_CHECKING

from loadtest.clock import Clock
from loadtest.errors import ProtocolError
from loadtest.herd import sockets
from loadtest.herd.listener import Listener
from loadtest.herd.opening import Opening
from loadtest.herd.poller import EPOLLIN, EPOLLOUT
from loadtest.herd.quick import ENDED, READ_BYTES
from loadtest.herd.states import CONNECTING, JOINING
from loadtest.herd.wires import Wires

if TYPE_CHECKING:
    from loadtest.herd.herd import Herd


class Attending:
    """Look after the slots of one herd."""

    def __init__(self, herd: Herd, wires: Wires, opening: Opening, listener: Listener, clock: Clock) -> None:
        self._herd = herd
        self._states = herd.slots.state
        self._wires, self._opening, self._listener, self._clock = wires, opening, listener, clock

    def other(self, fd: int, mask: int, slot: int, data: bytes | int | None, now: int | None) -> None:
        """Handle what is not a known message for a quick slot; see `quick.Other`."""
        if slot < 0:
            slot = self._wires.slot_of[fd]
            if slot >= 0:
                self.attend(slot, mask)
            return
        if self._states[slot] < JOINING:
            self._answered(slot, mask, data)
            return
        if isinstance(data, int):
            if data != EAGAIN:
                self._herd.lose(slot, sockets.reason_of(data))
            elif mask & EPOLLOUT:
                self._herd.flush(slot)
            return
        if data is not None:
            if not data:
                self._herd.lose(slot, "eof")
                return
            assert now is not None
            self._listener.chunk(slot, data, now, ended=bool(mask & ENDED))
            if not mask & ENDED and len(data) < READ_BYTES:
                return
        if self._wires.slot_of[fd] == slot:
            self.attend(slot, mask)

    def _answered(self, slot: int, mask: int, data: bytes | int | None) -> None:
        """Take what was read of a quick slot that is not in session yet: the answer to its upgrade."""
        end: str | None = None
        if isinstance(data, int):
            if data == EAGAIN:
                return
            end = sockets.reason_of(data)
            data = b""
        elif not data:
            data, end = b"", "eof"
        try:
            if mask & ENDED or len(data) == READ_BYTES:
                if end is None:
                    more, end = self._wires.receive(slot)
                    data += more
            elif end is None and (rest := self._opening.welcomed(slot, data)) is not None:
                self._herd.upgraded(slot, rest, None)
                return
            self._herd.follow_step(slot, self._opening.take(slot, self._states[slot], data, end))
        except ProtocolError as error:
            self._herd.lose(slot, error.reason)

    def attend(self, slot: int, mask: int) -> None:
        """Look after a slot that is not quick: opening, TLS, or a reader with an unfinished message."""
        if mask & EPOLLOUT and self._states[slot] != CONNECTING and not self._herd.flush(slot):
            return
        try:
            if self._states[slot] == CONNECTING:
                # What came with the edge that completed the connection will not be told again.
                if self._open(slot, mask) and mask & (EPOLLIN | ENDED) and self._states[slot] != CONNECTING:
                    self._open(slot, mask)
            elif self._states[slot] < JOINING:
                self._open(slot, mask)
            else:
                data, end = self._wires.receive(slot, to_the_end=bool(mask & ENDED))
                if data:
                    self._listener.chunk(slot, data, self._clock())
                if end is not None and self._wires.is_open(slot):
                    self._herd.lose(slot, end)
        except ProtocolError as error:
            self._herd.lose(slot, error.reason)

    def _open(self, slot: int, mask: int) -> bool:
        """Advance a connection that is not in session yet; return False when it is lost."""
        return self._herd.follow_step(slot, self._opening.advance(slot, self._states[slot], ended=bool(mask & ENDED)))
