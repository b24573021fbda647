"""What each client can offer when it comes back, so that a server may recover its session: pid and offset.

    40{"sid","pid"} --joined--> pid        event with an offset as its last argument --> the book remembers it
                                           the connection ends --> the greatest offset among the books the slot holds
    coming back: 40{"pid","offset", ...}   (Socket.IO's connection state recovery; nothing without a pid)

Law: it costs the hot loop nothing. Messages are in the ledger anyway; which offset a slot has is asked only when its
connection ends. Offsets are the server's: longer is greater, then later in the alphabet, as numbers and the ids of
Redis streams are. Source: socket.io-client 4.6 and later, `Socket._lastOffset` and `Socket._pid`.
"""

from __future__ import annotations

from collections.abc import Sequence

from loadtest.metrics.book import Book
from loadtest.metrics.ledger import Ledger
from loadtest.protocol.dialect import Resumption


class Resuming:
    """The offers of one herd's slots.

    Args:
        ledger: whose books say what a slot has; without one nothing has offsets.
        groups: subscriptions per slot.
    """

    def __init__(self, ledger: Ledger | None, groups: int) -> None:
        self._ledger = ledger
        self._groups = groups
        self._pids: dict[int, str] = {}
        self._offsets: dict[int, str] = {}

    def joined(self, slot: int, pid: str) -> None:
        """Note the name of a session; a new one begins without an offset, "" cannot be recovered."""
        if pid != self._pids.get(slot, ""):
            self._offsets.pop(slot, None)
            if pid:
                self._pids[slot] = pid
            else:
                self._pids.pop(slot, None)

    def read(self, slot: int, book: Book, args: Sequence[object]) -> None:
        """Take the offset of a message read for the first time."""
        if slot in self._pids and len(args) > 1 and isinstance(args[-1], str):
            book.offset = args[-1]

    def entered(self, slot: int, book: Book) -> None:
        """Note a message that does not stay in the books as the last one: a replay."""
        if book.offset and slot in self._pids:
            self._offsets[slot] = max(self._offsets.get(slot, ""), book.offset, key=_order)

    def ended(self, slot: int) -> None:
        """Note what a slot has: its connection ends, and its books are about to be settled."""
        if self._ledger is not None and slot in self._pids:
            for book in self._ledger.held[slot * self._groups : (slot + 1) * self._groups]:
                if book is not None:
                    self.entered(slot, book)

    def offer(self, slot: int) -> Resumption | None:
        """Return what to come back with."""
        pid = self._pids.get(slot)
        return None if pid is None else Resumption(pid, self._offsets.get(slot))


def _order(offset: str) -> tuple[int, str]:
    return len(offset), offset
