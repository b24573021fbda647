"""A table of file descriptors beside the process's own: one process holds more connections than it may open files.

    caller --run(work)--> thread: work() --> descriptors 0 .. RLIMIT_NOFILE of its own
           <--result, or the exception--/

RLIMIT_NOFILE bounds the numbers in one table. More processes would cost a core its caches at every switch between them;
threads may have a table each. A number means something in its own table only: whatever touches one runs there.

Laws: caller and thread never run at the same time: what they share needs no lock. What was open before stays with the
process, but for what is `shared`: of that the table has a copy under the same number.

Source: unshare(2), CLONE_FILES; no privilege is needed, though a container's filter may forbid it.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from collections.abc import Callable, Collection
from functools import cache
from typing import Any, TypeVar

from gevent import monkey

CLONE_FILES = 0x400
M_ARENA_MAX = -8
MOST = 64
"""Tables that one process has at most: each is a thread."""

_start_thread, _allocate_lock, _this_thread = monkey.get_original(
    "_thread", ["start_new_thread", "allocate_lock", "get_ident"]
)
_Result = TypeVar("_Result")


class DescriptorTable:
    """One table, and the thread it belongs to. Make it after the fork.

    Args:
        shared: numbers of descriptors that are to mean the same in the table. Standard streams always do.

    Raises:
        OSError: the kernel, or a container's filter, does not allow it.
    """

    def __init__(self, shared: Collection[int] = ()) -> None:
        _share_one_heap()
        self._called, self._answered = _allocate_lock(), _allocate_lock()
        self._called.acquire()
        self._answered.acquire()
        self._work: Callable[[], Any] | None = None
        self._result: Any = None
        self._error: BaseException | None = None
        self.thread = 0
        """The kernel's number of the thread."""
        self._identity: int = _start_thread(self._serve, ())
        try:
            self.run(lambda: self._separate(shared))
        except OSError:
            self.close()
            raise

    def run(self, work: Callable[[], _Result]) -> _Result:
        """Return what `work` returns, called with the descriptors of this table; raise what it raises.

        Cost: two switches of threads, 14 us on one core, 45 us across two.
        """
        if _this_thread() == self._identity:
            return work()
        self._work = work
        self._called.release()
        self._answered.acquire()
        result, error = self._result, self._error
        self._result = self._error = None
        if error is not None:
            raise error
        found: _Result = result
        return found

    def close(self) -> None:
        """End the thread; the kernel closes what is left open in its table. Harmless when closed."""
        if self._work is not _end:
            self._work = _end
            self._called.release()

    def _serve(self) -> None:
        while True:
            self._called.acquire()
            work = self._work
            if work is None or work is _end:
                return
            try:
                self._result = work()
            except BaseException as error:  # noqa: BLE001 - it is raised where `run` was called
                self._error = error
            del work
            self._answered.release()

    def _separate(self, shared: Collection[int]) -> None:
        # Whoever handles a signal notes it in a descriptor of the process, whichever thread it came to.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_FILES) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"no descriptor table for a thread: {os.strerror(number)}")
        self.thread = libc.gettid()
        first = 3
        for kept in sorted(shared):
            os.closerange(first, kept)
            first = kept + 1
        os.closerange(first, resource.getrlimit(resource.RLIMIT_NOFILE)[1])


def _end() -> None:
    """Stand for the wish that a thread ends."""


@cache
def _share_one_heap() -> None:
    """Have all threads allocate from one heap: they never run at the same time, and each heap keeps what it freed."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # only glibc has it
        mallopt(M_ARENA_MAX, 1)


@cache
def most() -> int:
    """Return how many tables a process of this machine can have; 1: its own alone."""
    try:
        DescriptorTable().close()
    except OSError:
        return 1
    return MOST
