"""How full a node is, as one number: 0 = idle, 1 = not one client more.

    cpu, memory: used parts of what the node has     load = 1 - (1 - cpu^2) (1 - memory^4)

Laws: the load grows with either, and is 1 where either is used up, so no metric hides behind the other. It is not
linear: half the CPU is a load of a quarter, because waiting grows fast only where little is left; memory costs nobody
anything until it is nearly gone, hence the fourth power. Inputs are held to 0..1; what is not a number counts as 1,
because a node that cannot tell how full it is should get nobody. What is told rises at once and falls slowly, and does
not move for less than `STEP`: who reads it does not follow every flicker.

Source: that the load has several dimensions and is not linear is Postman's; this formula is ours.
"""

from __future__ import annotations

import math
from typing import Final, Literal, cast, get_args

from reference_gateway.errors import SettingError

Metric = Literal["both", "cpu", "memory"]
STEP: Final = 0.02
_FALL_S: Final = 3.0


def parse_metric(text: str) -> Metric:
    """Return what the load goes by.

    Raises:
        SettingError: it is none of both, cpu, memory.
    """
    if text not in get_args(Metric):
        raise SettingError(f"the load goes by {text!r}: allowed is {', '.join(get_args(Metric))}")
    return cast(Metric, text)


def load_factor(cpu: float, memory: float, metric: Metric = "both") -> float:
    """Return the load of a node, 0 to 1; with one `metric` alone the other counts as unused."""
    left_cpu = 1.0 if metric == "memory" else 1.0 - _bounded(cpu) ** 2
    left_memory = 1.0 if metric == "cpu" else 1.0 - _bounded(memory) ** 4
    return 1.0 - left_cpu * left_memory


class Steadied:
    """A load as it is told: up at once, down with a time constant of three seconds, in steps."""

    def __init__(self) -> None:
        self.told = 0.0
        self._level = 0.0
        self._at_s: float | None = None

    def take(self, now_s: float, load: float) -> float:
        """Take the load at `now_s` (monotonic seconds); return what is told of it."""
        elapsed_s = 0.0 if self._at_s is None else max(0.0, now_s - self._at_s)
        self._at_s = now_s
        if load < self._level:
            load += (self._level - load) * math.exp(-elapsed_s / _FALL_S)
        self._level = load
        if abs(load - self.told) >= STEP or load >= 1.0:
            self.told = load
        return self.told


def _bounded(used: float) -> float:
    return 1.0 if math.isnan(used) else min(1.0, max(0.0, used))
