"""What clients asked of the target second by second, and what came of it: goodput, waste, shed, metastability.

    reports --attempts, refused, whole sessions--> Demand --of one event--> figures of METRICS.md, "Recovery"

Laws: a second is the master's second in which a report was made, so a figure is never finer than a report. A session is
whole, and a recovery full, with the last acknowledgement of a subscription. Goodput and demand are means over ten
seconds: a single quiet second is no sign of anything.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from loadtest.clock import NS_PER_S
from loadtest.metrics.event import Event

WINDOW_S = 10
PATIENCE = 5
"""A target is stuck when it stays down for so many times a client's give-up time and mean wait together."""
STUCK_SHARE = 0.5
BACK_PERCENT = 99.0
_TURNED_AWAY = frozenset({"refused", "session_refused"})


def is_refusal(reason: str) -> bool:
    """Whether a failure's class says that the target turned the client away: nobody listens, HTTP, CONNECT_ERROR."""
    return reason in _TURNED_AWAY or reason.startswith(("http_", "bootstrap_http_"))


class Demand:
    """The account of one run, a row per second: attempts, refusals, whole sessions. Cost: 100 bytes a second.

    Attributes:
        cycle_s: give-up time of an attempt plus mean wait before the next one; None where clients never come back.
    """

    def __init__(self, cycle_s: float | None = None) -> None:
        self.cycle_s = cycle_s
        self._rows: dict[int, tuple[int, int, int]] = {}

    def add(self, t_ns: int, counts: Mapping[str, int], failures: Mapping[str, int]) -> None:
        """Add what one report counts."""
        refused = sum(number for reason, number in failures.items() if is_refusal(reason))
        attempts, whole = counts.get("attempts", 0), counts.get("subscribed", 0)
        if attempts or refused or whole:
            before = self._rows.get(t_ns // NS_PER_S, (0, 0, 0))
            self._rows[t_ns // NS_PER_S] = (before[0] + attempts, before[1] + refused, before[2] + whole)

    def figures(self, event: Event, end_ns: int) -> dict[str, Any]:
        """Return what `event` adds to "recovery" in run.json.

        Keys: `goodput_peak_per_s` (most full recoveries a second, mean of ten), `shed` (refused / attempts), `waste`
        (1 - whole sessions / attempts let in), `metastable`. None where nothing was attempted; `metastable` also where
        the run ended before it could be told.
        """
        begin = event.t0_ns // NS_PER_S
        attempts, refused, whole = (
            sum(row[column] for second, row in self._rows.items() if second >= begin) for column in range(3)
        )
        admitted = attempts - refused
        return {
            "goodput_peak_per_s": max((goodput for _, _, goodput in self._windows(begin, end_ns)), default=None),
            "shed": refused / attempts if attempts else None,
            "waste": max(0.0, 1 - whole / admitted) if admitted > 0 else None,
            "metastable": self._is_metastable(event, end_ns),
        }

    def _windows(self, begin: int, end_ns: int) -> Iterator[tuple[int, float, float]]:
        """Yield (last second, attempts a second, whole sessions a second) of each ten seconds from `begin` on."""
        last = min(end_ns // NS_PER_S, max(self._rows, default=begin) + WINDOW_S)
        demand = goodput = 0
        for second in range(begin, last + 1):
            attempts, _, whole = self._rows.get(second, (0, 0, 0))
            gone_attempts, _, gone_whole = (
                self._rows.get(second - WINDOW_S, (0, 0, 0)) if second - WINDOW_S >= begin else (0, 0, 0)
            )
            demand += attempts - gone_attempts
            goodput += whole - gone_whole
            if second - begin >= WINDOW_S - 1:
                yield second, demand / WINDOW_S, goodput / WINDOW_S

    def _is_metastable(self, event: Event, end_ns: int) -> bool | None:
        """Whether the target stayed down for long after the cause was gone, though it could have done what was asked.

        Ten seconds count when clients asked for no more than the most that the target has shown in this run, and less
        than half of that, and of what they asked, came of it: a tail in which nobody asks is no failure. The cause is
        gone with the last primary drop, or when the fault was taken back.
        """
        curve, back_s = event.curve, event.curve.t_sub_s(BACK_PERCENT)
        if back_s is None and (self.cycle_s is None or not curve.population or event.lasts):
            return None
        needed_s = PATIENCE * (self.cycle_s or math.inf)
        first = min(self._rows, default=0)
        capacity = max((goodput for _, _, goodput in self._windows(first, end_ns)), default=0.0)
        gone = max(event.undone_ns or 0, curve.last_drop_ns) // NS_PER_S
        until = end_ns // NS_PER_S if back_s is None else math.ceil(event.t0_ns / NS_PER_S + back_s)
        stuck_since: int | None = None
        for second, demand, goodput in self._windows(gone, end_ns):
            if second > until:
                break
            if 0 < demand <= capacity and goodput < STUCK_SHARE * min(capacity, demand):
                stuck_since = second if stuck_since is None else stuck_since
                if second - stuck_since + WINDOW_S > needed_s:
                    return True
            else:
                stuck_since = None
        return False if back_s is not None or until - gone > needed_s else None
