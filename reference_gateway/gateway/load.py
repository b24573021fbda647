"""How full this node is, looked at each second; how it slows down, and ends, by the memory it was given.

Law: /healthz and /metrics tell the same numbers, those of the last look. Who was given a budget is looked at four times
a second, so that it does not use much more unseen.
"""

from __future__ import annotations

import asyncio
import logging
import mmap
import os
import signal
import time
from collections.abc import Hashable

from reference_gateway.scaling.factor import Metric, Steadied, load_factor
from reference_gateway.scaling.usage import NO_BUDGET, Budget, Resident, Usage, hold_to_quota, reclaim_s

log = logging.getLogger(__name__)

_LOOK_S = 1.0
_BUDGET_LOOK_S = 0.25


class Load:
    """The load of one node. Create it inside the event loop, once everything is imported."""

    def __init__(self, budget: Budget, metric: Metric) -> None:
        self._budget = budget
        self._metric = metric
        self._resident = Resident()
        self._usage = Usage(budget, self._resident)
        self._look_s = _LOOK_S if budget == NO_BUDGET else _BUDGET_LOOK_S
        self._steadied = Steadied()
        self._loop = asyncio.get_running_loop()
        self.facts: dict[str, float] = {"load": 0.0, "cpu": 0.0, "memory": 0.0}
        self._kept: dict[Hashable, mmap.mmap] = {}
        self._timer = self._loop.call_later(self._look_s, self._look)
        if budget.cores:
            hold_to_quota(self._loop, budget.cores)

    def keep(self, client: Hashable, size_bytes: int) -> None:
        """Use memory for a client: a map of its own, given back at once, and written to, so that it is really there."""
        self._kept[client] = mmap.mmap(-1, size_bytes)
        self._kept[client].write(bytes(size_bytes))

    def let_go(self, client: Hashable) -> None:
        """Give back what was kept for a client, if anything was."""
        kept = self._kept.pop(client, None)
        if kept is not None:
            kept.close()

    def close(self) -> None:
        """Look no more."""
        self._timer.cancel()
        self._resident.close()

    def _look(self) -> None:
        cpu, memory = self._usage.look()
        told = self._steadied.take(self._loop.time(), load_factor(cpu, memory, self._metric))
        self.facts = {"load": round(told, 3), "cpu": round(cpu, 3), "memory": round(memory, 3)}
        if self._budget.memory_bytes:
            if memory > 1.0:
                log.error("%.0f %% of its memory budget: killed, as a container would be", 100 * memory)
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(reclaim_s(memory))
        self._timer = self._loop.call_later(self._look_s, self._look)
