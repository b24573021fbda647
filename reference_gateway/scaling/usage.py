"""What this process uses of what it was given, and how it is held to it, as a container would be.

    process CPU time, resident memory --> parts of the budget: cpu 0.. , memory 0..
    CPU over the quota: the process rests until it has paid       (cpu.max of a control group)
    memory near the budget: the process rests again and again     (memory.high)
    memory over the budget: the process is killed                 (memory.max and the kernel's OOM killer)

Law: a budget that was not given limits nothing, it only is what the use is measured by: one core, 512 MiB. Memory
counts from what the process had when it began, so that code and libraries are nobody's load.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_CORES: Final = 1.0
_MEMORY_BYTES: Final = 512 * 1024 * 1024
_TICK_S: Final = 0.005
_SAVED_S: Final = 0.05
_LEAST_REST_S: Final = 0.001
_HIGH: Final = 0.9
_MOST_RECLAIM_S: Final = 2.0
_STATM_BYTES: Final = 256
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Budget:
    """What one node may use; 0 = not limited."""

    cores: float = 0.0
    memory_bytes: int = 0


NO_BUDGET: Final = Budget()


class Resident:
    """The resident memory of this process, from a file that stays open. Make it in the process it is to tell of.

    Source: proc_pid_statm(5). Cost: 1 us; 17 if the file were opened each time.
    """

    def __init__(self) -> None:
        self._statm = Path("/proc/self/statm").open("rb", buffering=0)  # noqa: SIM115 - closed with its owner

    def __call__(self) -> int:
        """Return it in bytes."""
        return int(os.pread(self._statm.fileno(), _STATM_BYTES, 0).split()[1]) * _PAGE_BYTES

    def close(self) -> None:
        """Look no more."""
        self._statm.close()


class Usage:
    """Parts of the budget that are used.

    Args:
        memory_bytes: tells the memory in use.
        cpu_s, clock_s: where the other figures come from; this process unless told otherwise.
    """

    def __init__(
        self,
        budget: Budget,
        memory_bytes: Callable[[], int],
        cpu_s: Callable[[], float] = time.process_time,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cores = budget.cores or _CORES
        self._memory_bytes = budget.memory_bytes or _MEMORY_BYTES
        self._cpu_s = cpu_s
        self._resident_bytes = memory_bytes
        self._clock_s = clock_s
        self._begun_bytes = memory_bytes()
        self._last = clock_s(), cpu_s()

    def look(self) -> tuple[float, float]:
        """Return (cpu, memory): the CPU since the last look, and the memory now, as parts of the budget."""
        (then_s, used_s), now = self._last, (self._clock_s(), self._cpu_s())
        self._last = now
        elapsed_s = now[0] - then_s
        cpu = (now[1] - used_s) / elapsed_s / self._cores if elapsed_s > 0 else 0.0
        return cpu, max(0, self._resident_bytes() - self._begun_bytes) / self._memory_bytes


def reclaim_s(memory: float) -> float:
    """Return how long a process that uses `memory` of its budget rests at each look: nothing up to 0.9, then up to 2 s.

    Source: cgroup-v2, memory.high ("throttled and put under heavy reclaim pressure", two seconds at a time at most);
    Kubernetes sets it to 0.9 of the limit. That it grows in a straight line is ours.
    """
    return _MOST_RECLAIM_S * min(1.0, max(0.0, (memory - _HIGH) / (1.0 - _HIGH)))


def hold_to_quota(loop: asyncio.AbstractEventLoop, cores: float) -> None:
    """Make the process rest, loop and all, whenever it has used more than `cores` of CPU time.

    Unused time is saved up for a twentieth of a second, no longer.
    """
    credit_s, at_s, used_s = 0.0, time.monotonic(), time.process_time()

    def pay() -> None:
        nonlocal credit_s, at_s, used_s
        now_s, spent_s = time.monotonic(), time.process_time()
        credit_s = min(cores * _SAVED_S, credit_s + cores * (now_s - at_s)) - (spent_s - used_s)
        at_s, used_s = now_s, spent_s
        if credit_s < -cores * _LEAST_REST_S:
            time.sleep(-credit_s / cores)
        loop.call_later(_TICK_S, pay)

    loop.call_soon(pay)
