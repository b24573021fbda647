"""What clients asked of the target second by second, and what came of it: goodput, waste, shed, metastability.

    reports --attempts, refused, whole sessions--> Demand --of one event--> figures of METRICS.md, "Recovery"

Laws: a second is the master's second in which a report was made, so a figure is never finer than a report. A session is
whole, and a recovery full, with the last acknowledgement of a subscription. Goodput and demand are means over ten
seconds: a single quiet second is no sign of anything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from loadtest.clock import NS_PER_S
from loadtest.metrics.event import Event

WINDOW_S = 10
LATE_S = 3
"""How late the last report of a second may be made."""
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
        self._capacity = 0.0
        """Most whole sessions a second, mean of ten, up to `_judged`: kept, for figures are asked for every second."""
        self._judged: int | None = None

    def add(self, t_ns: int, counts: Mapping[str, int], failures: Mapping[str, int]) -> None:
        """Add what one report counts."""
        refused = sum(number for reason, number in failures.items() if is_refusal(reason))
        attempts, whole = counts.get("attempts", 0), counts.get("subscribed", 0)
        if attempts or refused or whole:
            second = t_ns // NS_PER_S
            before = self._rows.get(second, (0, 0, 0))
            self._rows[second] = (before[0] + attempts, before[1] + refused, before[2] + whole)
            self._judge(second - LATE_S)

    def _judge(self, last: int) -> None:
        """Let what every second up to `last` has shown count for the capacity; later reports come too late for that."""
        if self._judged is None:
            self._judged = last
        for second in range(self._judged + 1, last + 1):
            goodput = sum(self._row(one)[2] for one in range(second - WINDOW_S + 1, second + 1)) / WINDOW_S
            self._capacity = max(self._capacity, goodput)
        self._judged = max(self._judged, last)

    def _row(self, second: int) -> tuple[int, int, int]:
        return self._rows.get(second, (0, 0, 0))

    def figures(self, event: Event, end_ns: int) -> dict[str, Any]:
        """Return what `event` adds to "recovery" in run.json.

        Counted from the drop until 99 % were back (ten seconds at least), or to the end.

        Keys: `goodput_peak_per_s` (most full recoveries a second, mean of ten), `shed` (refused / attempts), `waste`
        (1 - whole sessions / attempts let in), `metastable`. None where nothing was attempted; `metastable` also where
        the run ended before it could be told.
        """
        begin, back_s = event.t0_ns // NS_PER_S, event.curve.t_sub_s(BACK_PERCENT)
        last = end_ns // NS_PER_S if back_s is None else math.ceil(event.t0_ns / NS_PER_S + back_s)
        last = max(last, begin + WINDOW_S - 1)
        rows = [self._row(second) for second in range(begin, last + 1)]
        attempts, refused, whole = (sum(column) for column in zip(*rows, strict=True))
        admitted = attempts - refused
        means = _means(rows)
        return {
            "goodput_peak_per_s": max(goodput for _, goodput in means) if attempts else None,
            "shed": refused / attempts if attempts else None,
            "waste": max(0.0, 1 - whole / admitted) if admitted > 0 else None,
            "metastable": self._is_metastable(event, means, last, is_back=back_s is not None),
        }

    def _is_metastable(
        self, event: Event, means: Sequence[tuple[float, float]], last: int, *, is_back: bool
    ) -> bool | None:
        """Whether the target stayed down for long after the cause was gone, though it could have done what was asked.

        Ten seconds count when clients asked for no more than the most that the target has shown in this run, and less
        than half of that, and of what they asked, came of it: a tail in which nobody asks is no failure. The cause is
        gone with the last primary drop, or when the fault was taken back.
        """
        if not is_back and (self.cycle_s is None or not event.curve.population or event.lasts):
            return None
        needed_s = PATIENCE * (self.cycle_s or math.inf)
        capacity = max(self._capacity, *(goodput for _, goodput in means), 0.0)
        gone = max(event.undone_ns or 0, event.curve.last_drop_ns) // NS_PER_S
        stuck_s = 0
        for demand, goodput in means[gone - event.t0_ns // NS_PER_S :]:
            stuck = 0 < demand <= capacity and goodput < STUCK_SHARE * min(capacity, demand)
            stuck_s = stuck_s + 1 if stuck else 0
            if stuck_s and stuck_s - 1 + WINDOW_S > needed_s:
                return True
        return False if is_back or last - gone > needed_s else None


def _means(rows: Sequence[tuple[int, int, int]]) -> list[tuple[float, float]]:
    """Return (attempts a second, whole sessions a second) of each ten seconds that begin with one of `rows`."""
    attempts, whole = ([0, *accumulate(row[column] for row in rows)] for column in (0, 2))
    ends = range(WINDOW_S, len(rows) + 1)
    return [
        ((attempts[end] - attempts[end - WINDOW_S]) / WINDOW_S, (whole[end] - whole[end - WINDOW_S]) / WINDOW_S)
        for end in ends
    ]
