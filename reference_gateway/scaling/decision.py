"""How many nodes there should be: a pure function of their loads, of the time, and of what was decided before.

    loads --mean--> over `OUT_AT`: one more (twice as many when it is nearly 1)
                    would still be under `IN_AT` with one less, for `calm_s`: one less
    schedule -----> never less than it says for this moment

Laws: after a change nothing is decided for `pause_s`: what was added must be felt first. Out is quick and in is slow,
and the two thresholds lie apart, so that a load that stands still never makes nodes come and go. A node that
does not answer adds nobody to the need: it counts as idle for more nodes, and as full for fewer.

Source: the last law is the Kubernetes Horizontal Pod Autoscaler's ("missing metrics"); the figures are ours.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from reference_gateway.errors import SettingError

OUT_AT: Final = 0.5
IN_AT: Final = 0.25
_NEARLY_FULL: Final = 0.85
_DAY_S: Final = 86_400


class Moment(NamedTuple):
    """From `at_s` on at least `nodes`: seconds since the start of the stack, or (`daily`) since midnight UTC."""

    at_s: float
    nodes: int
    daily: bool


def parse_moment(text: str) -> Moment:
    """Return the moment in `30s=4` (since the start) or `18:00=8` (each day, UTC).

    Raises:
        SettingError: it is neither.
    """
    since = re.fullmatch(r"(\d+(?:\.\d+)?)s=(\d{1,3})", text)
    if since is not None:
        return Moment(float(since[1]), int(since[2]), False)
    daily = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)=(\d{1,3})", text)
    if daily is None:
        raise SettingError(f"--scale-at {text!r}: allowed is SECONDSs=NODES, e.g. 30s=4, or HH:MM=NODES (UTC)")
    return Moment(int(daily[1]) * 3600 + int(daily[2]) * 60, int(daily[3]), True)


@dataclass(frozen=True, slots=True)
class ScalePlan:
    """The bounds of a decision.

    Attributes:
        least, most: nodes.
        schedule: moments from which on there are at least so many nodes; of each kind the last one past counts.
        reactive: whether the loads count, or the schedule alone.
        calm_s, pause_s: see the module's laws.
    """

    least: int
    most: int
    schedule: Sequence[Moment] = ()
    reactive: bool = True
    calm_s: float = 30.0
    pause_s: float = 3.0

    def floor(self, elapsed_s: float, since_midnight_s: float) -> int:
        """Return how many nodes the schedule wants now."""
        since = [moment for moment in self.schedule if not moment.daily and moment.at_s <= elapsed_s]
        daily = sorted(moment for moment in self.schedule if moment.daily)
        past = [moment for moment in daily if moment.at_s <= since_midnight_s % _DAY_S]
        wanted = [max(since).nodes] if since else []
        if daily:  # before the first one of the day, yesterday's last one holds
            wanted.append((past or daily)[-1].nodes)
        return min(self.most, max([self.least, *wanted]))


class Decider:
    """Decide, look by look.

    Attributes:
        why: of the last change, for the log.
    """

    def __init__(self, plan: ScalePlan) -> None:
        self._plan = plan
        self._changed_s: float | None = None
        self._calm_since_s: float | None = None
        self.why = ""

    def wanted(self, elapsed_s: float, since_midnight_s: float, loads: Sequence[float | None]) -> int:
        """Return the number of nodes wanted; `loads` has one for each node there is, None = it does not answer."""
        plan, nodes = self._plan, len(loads)
        floor = plan.floor(elapsed_s, since_midnight_s)
        if nodes < floor:
            return self._change(elapsed_s, floor, "the schedule")
        answered = [load for load in loads if load is not None]
        mean, most_mean = sum(answered) / nodes, (sum(answered) + nodes - len(answered)) / nodes
        if self._changed_s is not None and elapsed_s - self._changed_s < plan.pause_s:
            return nodes
        if plan.reactive and mean > OUT_AT and nodes < plan.most:
            self._calm_since_s = None
            more = nodes * 2 if mean > _NEARLY_FULL else nodes + 1
            return self._change(elapsed_s, min(plan.most, more), f"a mean load of {mean:.2f}")
        fewer_would_do = nodes > floor and most_mean * nodes / (nodes - 1) < IN_AT if nodes > 1 else False
        if not fewer_would_do:
            self._calm_since_s = None
        elif self._calm_since_s is None:
            self._calm_since_s = elapsed_s
        elif elapsed_s - self._calm_since_s >= plan.calm_s:
            return self._change(elapsed_s, nodes - 1, f"a mean load of {mean:.2f} for {plan.calm_s:g} s")
        return nodes

    def _change(self, elapsed_s: float, nodes: int, why: str) -> int:
        self._changed_s, self._calm_since_s, self.why = elapsed_s, None, why
        return nodes
