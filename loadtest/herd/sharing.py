"""How many workers share a core of this machine, and what that costs this one now.

    nursery --tell--> environment of the worker --workers_per_core--> engine (rounds), herd (late acks), patience
    kernel's scheduler --/proc/self/schedstat--> CoreQueue --> engine (how long it rests between two rounds)

Law: a worker that was told nothing has a core to itself.
"""

from __future__ import annotations

import math
import os

from loadtest.clock import NS_PER_S

VARIABLE = "LOADTEST_WORKERS_PER_CORE"
MANY = 4.0
"""Workers per core above which herds work in rounds (`users.engine`)."""


def share_of(workers: int) -> float:
    """Return how many of `workers` on this machine share one of the cores this process may use."""
    return workers / len(os.sched_getaffinity(0))


def tell(workers: int) -> float:
    """Let this process and its children know that `workers` share this machine; return how many share a core."""
    shared = share_of(workers)
    os.environ[VARIABLE] = f"{shared:g}"
    return shared


def workers_per_core() -> float:
    """Return how many workers share a core, as far as this process has been told; 0: it has not."""
    return float(os.environ.get(VARIABLE, "0"))


def are_many() -> bool:
    """Whether so many workers share a core that their herds work in rounds."""
    return workers_per_core() > MANY


class CoreQueue:
    """How long the main thread of this process waited for a core while it had work. Make it after the fork.

    Source: proc_pid_schedstat, second field ("time spent waiting on a runqueue", in nanoseconds). Cost: 1 us.
    """

    def __init__(self) -> None:
        try:
            self._file = os.open("/proc/self/schedstat", os.O_RDONLY | os.O_CLOEXEC)
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
