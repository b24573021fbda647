"""How much others want the core that this process runs on.

    kernel's scheduler --/proc/self/task/N/schedstat--> CoreQueue --> engine: how long it rests between two rounds

Law: where the kernel does not tell, the core is wanted without end: whoever asks then rests as long as it may.
"""

from __future__ import annotations

import math
import os

from loadtest.clock import NS_PER_S


class CoreQueue:
    """How long a thread of this process waited for a core while it had work. Make it after the fork.

    Args:
        thread: the kernel's number of it; 0: the main thread.

    Source: proc_pid_schedstat, second field ("time spent waiting on a runqueue", in nanoseconds). Cost: 1 us.
    """

    def __init__(self, thread: int = 0) -> None:
        try:
            self._file = os.open(f"/proc/self/task/{thread or os.getpid()}/schedstat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # a kernel without scheduler statistics
            self._file = -1
        self._waited_ns = self._read()

    def waited_s(self) -> float:
        """Return the seconds since the last call; infinity where the kernel does not tell."""
        if self._file < 0:
            return math.inf
        before, self._waited_ns = self._waited_ns, self._read()
        return (self._waited_ns - before) / NS_PER_S

    def close(self) -> None:
        """Look no more."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _read(self) -> int:
        return int(os.pread(self._file, 128, 0).split()[1]) if self._file >= 0 else 0
