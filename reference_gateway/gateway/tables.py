"""Several descriptor tables in one process: a node that holds more connections than a process may open files.

    thread --unshare(CLONE_FILES)--> table 1   | work |      | work |           each with a loop, a listener and
                                     table 2          | work |                  clients of its own; one works at a time,
                                     table 3                        | work |    whoever is due first

Laws: a descriptor is a number that means something in one table only. So what opens one also uses and closes it, in the
thread of that table or one started there; nobody wakes another table by a descriptor, as `call_soon_threadsafe` would,
and what runs in libuv's threads, which belong to one table, runs nowhere: no look-up of a name (`TableLoop`). Tables
work in turns, as `rounds` has it, and who waits for its turn waits for nothing else: the interpreter's lock never
changes hands while somebody works. Signals come to the first table; the others learn of the end at their next turn.

Source: unshare(2), CLONE_FILES; no privilege is needed. socket(7), SO_REUSEPORT: the kernel deals the clients out.
"""

from __future__ import annotations

import ctypes
import heapq
import itertools
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import uvloop

from reference_gateway.errors import SettingError

from .rounds import core_wait_s

_CLONE_FILES: Final = 0x400
_LONGEST_S: Final = 0.05  # of a turn in which there is always more to do, while others are due

_libc: Final = ctypes.CDLL(None, use_errno=True)


class TableLoop(uvloop.Loop):
    """A loop of one of several tables: it takes addresses, no names, and so asks nothing of libuv's threads.

    uvloop has one of them "look up" an address too, in `sock_connect`. Such a thread wakes the loop that asked by the
    number of a descriptor, which may be anybody's in the table of the thread.
    """

    async def getaddrinfo(
        self,
        host: Any,
        port: Any,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002 - asyncio's name
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        """Return the address itself, at once.

        Raises:
            socket.gaierror: it is a name.
        """
        numeric = flags | socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        return socket.getaddrinfo(host, port, family, type or socket.SOCK_STREAM, proto, numeric)


class Turns:
    """Whose turn it is: of those who rest, whoever is due first. Only who has the turn may call."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, threading.Lock]] = []
        self._order = itertools.count()

    def enter(self, gate: threading.Lock, due_s: float) -> None:
        """Have somebody wait at `gate`, which is locked, for a turn at `due_s`."""
        heapq.heappush(self._due, (due_s, next(self._order), gate))

    def rest(self, gate: threading.Lock, seconds: float) -> float:
        """Have others work for so long; return how much later than that the turn came back, in seconds."""
        due_s = time.monotonic() + seconds
        own = (due_s, next(self._order), gate)
        first = heapq.heappushpop(self._due, own)
        if first is not own:
            first[2].release()
            gate.acquire()
        early_s = due_s - time.monotonic()
        if early_s > 0.0:
            time.sleep(early_s)
        return max(0.0, -early_s)

    def leave(self) -> None:
        """Give the turn up for good."""
        if self._due:
            heapq.heappop(self._due)[2].release()


class Table:
    """One table, as its thread knows it; `ends` is called there when the process is to end, perhaps more than once."""

    def __init__(self, tables: Tables, number: int) -> None:
        self.number = number
        self.ends: Callable[[], None] = lambda: None
        self.gate = threading.Lock()
        self.gate.acquire()
        self._tables = tables
        self._begun_s = time.monotonic()  # this turn
        self._queued_s = 0.0

    @property
    def is_first(self) -> bool:
        """Whether this is the table of the process's main thread, to which signals come."""
        return self.number == 1

    def rest(self, seconds: float) -> None:
        """Let the others work; with 0 seconds, only those who are due, and only after a long turn."""
        if seconds or time.monotonic() - self._begun_s > _LONGEST_S:
            self._queued_s += self._tables.turns.rest(self.gate, seconds)
            self._begun_s = time.monotonic()
        if self._tables.ending:
            self.ends()

    def waited_s(self) -> float:
        """Return how long this table has waited for a core or for its turn so far."""
        return core_wait_s() + self._queued_s

    def end(self) -> None:
        """Have every table end."""
        self._tables.ending = True
        self.ends()


class Tables:
    """The tables of this process, one of them its own."""

    def __init__(self, count: int) -> None:
        self.turns = Turns()
        self.ending = False
        self.first, *self._others = [Table(self, number) for number in range(1, count + 1)]
        self._error: BaseException | None = None
        self._apart = threading.Semaphore(0)

    def run(self, work: Callable[[Table], None]) -> None:
        """Call `work` in the thread of each table, the first one's before any other; return when all have returned.

        The other tables are made here: what this thread has open now, each of them keeps open.

        Raises:
            SettingError: this system does not let a thread have descriptors of its own.
            BaseException: what was the first to be raised in `work`, once the other tables have ended.
        """
        threads = [
            threading.Thread(target=self._begin, args=(table, work), name=f"table-{table.number}", daemon=True)
            for table in self._others
        ]
        for table, thread in zip(self._others, threads, strict=True):
            self.turns.enter(table.gate, time.monotonic())
            thread.start()
        for _ in threads:
            self._apart.acquire()
        self._live(self.first, work)
        for thread in threads:
            thread.join()
        if self._error is not None:
            raise self._error

    def _begin(self, table: Table, work: Callable[[Table], None]) -> None:
        # Python notes a signal by writing to a descriptor, in whichever thread it came to.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        if _libc.unshare(_CLONE_FILES):
            reason = os.strerror(ctypes.get_errno())
            self._fail(SettingError(f"RG_TABLES: a thread cannot have its own descriptors ({reason}): run more nodes"))
        self._apart.release()
        table.gate.acquire()
        self._live(table, work)

    def _live(self, table: Table, work: Callable[[Table], None]) -> None:
        try:
            if not self.ending:
                work(table)
        except BaseException as error:  # noqa: BLE001 - raised again by `run`
            self._fail(error)
        self.turns.leave()

    def _fail(self, error: BaseException) -> None:
        self._error = self._error or error
        self.ending = True
