"""Find when the service was good again: T_svc(x), not "clients are back" but "messages arrive as before".

    second:      ... 8    9   | 10   11   12   13   14   15 ...          t0 = 10.3 s, H = 3 s, w = 1 s
    p99 (ms):        5    6   | 90   --    8    6    5    6
    good:        baseline     |  no   no   no  yes  yes  yes  -> T_svc = 13 - 10.3 = 2.7 s

METRICS: the earliest t such that every window in [t, t+H] has fan-out p99 <= (1+x) * baseline p99 and completeness
>= 99.99 %. How this file reads it:

- Messages belong to the second they were *scheduled* in. A window is w = max(1, H // 10) whole seconds and slides by
  one second; "in [t, t+H]" means that it lies inside as a whole. t is t0 or the start of a later second.
- Like is compared with like: the baseline p99 is that of windows of the same w seconds before t0, at the level 99 of
  100 of them kept (nearest rank; with fewer than 100 windows, the highest). The p99 of the whole baseline would be
  exceeded by a part of its own windows, so that a service which never changed would count as broken.
- A window without expected messages although publishes were due, or that nobody fed, is not evidence of service: bad.
  A window in which none were due is neutral, but some window in [t, t+H] must be evidence.
- The observation must reach t+H. Otherwise, or without a baseline, the answer is None.
- In a storm E_m holds the clients that are back already; that the rest is missing is T_sub's to say: T_rec is the
  later of the two.
"""

from __future__ import annotations

import math
from array import array
from collections import deque

from loadtest.metrics.distribution import rank
from loadtest.metrics.tally import Tally

COMPLETENESS = 9_999, 10_000
"""A window is complete when delivered / expected is at least this fraction (99.99 %)."""

_BAD = -1
_NEUTRAL = -2
_BASELINE_LEVEL = 99.0
_MAX_GAP_S = 3_600


class ServiceRecovery:
    """The service level second by second, and T_svc of any fault in it.

    Args:
        window_s: H, in seconds; rounded up to whole seconds, at least 1.
        tolerance: x, as a fraction: 0.10 allows a p99 10 % above the baseline.

    Cost: 8 bytes per second of the run, and the histograms of the last w seconds.
    """

    def __init__(self, window_s: float, tolerance: float = 0.10) -> None:
        self.hold_s = max(1, math.ceil(window_s))
        self.window_s = max(1, self.hold_s // 10)
        self.tolerance = tolerance
        self._first: int | None = None
        self._last = 0
        self._windows = array("q")
        """By second in which the window ends: its p99 in ns, or _BAD, or _NEUTRAL."""
        self._recent: deque[tuple[Tally | None, int, int, bool]] = deque(maxlen=self.window_s)

    def add(self, second: int, histogram: Tally, expected: int, delivered: int, due: bool = True) -> None:
        """Feed one settled second: the deadline of all its messages has passed, all workers are merged.

        Args:
            second: whole seconds since the start of the run, ascending; what is left out counts as bad.
            histogram: latencies of the messages scheduled in it; not changed afterwards.
            expected: sum of |E_m| over them.
            delivered: distinct deliveries among them.
            due: whether any publish was scheduled in this second.

        Raises:
            ValueError: the second is not after the last one, or more than an hour after it.
        """
        if self._first is None:
            self._first = second
        elif second <= self._last:
            raise ValueError(f"seconds must ascend: {second} after {self._last}")
        elif second - self._last > _MAX_GAP_S:
            raise ValueError(f"a gap of more than {_MAX_GAP_S} s: {second} after {self._last}")
        else:
            for _ in range(second - self._last - 1):
                self._push(None, 0, 0, due=True)
        self._last = second
        self._push(histogram, expected, delivered, due)

    def baseline_p99_ns(self, from_s: float, to_s: float) -> int | None:
        """Return the p99 that 99 of 100 windows inside [from_s, to_s] kept; None without a window that is evidence."""
        if self._first is None:
            return None
        begin = max(math.ceil(from_s) + self.window_s - 1 - self._first, self.window_s - 1)
        end = math.floor(to_s) - self._first
        found = sorted(p99_ns for p99_ns in self._windows[max(0, begin) : max(0, end)] if p99_ns >= 0)
        return found[rank(_BASELINE_LEVEL, len(found)) - 1] if found else None

    def t_svc_s(self, t0_s: float, baseline_from_s: float, baseline_to_s: float | None = None) -> float | None:
        """Return T_svc in seconds since `t0_s`, or None: not seen to recover, or nothing to compare with.

        Args:
            t0_s: the fault, in seconds since the start of the run.
            baseline_from_s: start of the hold phase.
            baseline_to_s: end of the baseline; None means t0. For a second fault in one run: the first one's t0.
        """
        baseline_ns = self.baseline_p99_ns(baseline_from_s, t0_s if baseline_to_s is None else baseline_to_s)
        if baseline_ns is None or self._first is None:
            return None
        bar_ns = (1 + self.tolerance) * baseline_ns
        needed = self.hold_s - self.window_s + 1
        start = max(math.floor(t0_s), self._first)
        run, evidence = 0, 0
        for at in range(start - self._first + self.window_s - 1, len(self._windows)):
            p99_ns = self._windows[at]
            if p99_ns == _BAD or p99_ns > bar_ns:
                run, evidence = 0, 0
                continue
            run += 1
            evidence = needed if p99_ns >= 0 else evidence - 1
            if run >= needed and evidence > 0:
                began = self._first + at - self.hold_s + 1
                return max(0.0, began - t0_s)
        return None

    def _push(self, histogram: Tally | None, expected: int, delivered: int, due: bool) -> None:
        recent = self._recent
        recent.append((histogram, expected, delivered, due))
        expected = sum(entry[1] for entry in recent)
        delivered = sum(entry[2] for entry in recent)
        good, of = COMPLETENESS
        if not expected:
            self._windows.append(_BAD if any(entry[3] for entry in recent) else _NEUTRAL)
        elif delivered * of < expected * good:
            self._windows.append(_BAD)
        else:
            self._windows.append(self._p99_ns())

    def _p99_ns(self) -> int:
        filled = [entry[0] for entry in self._recent if entry[0] is not None]
        whole = filled[0] if len(filled) == 1 else Tally.of(filled)
        p99_ns = whole.percentile_ns(99)
        return _BAD if p99_ns is None else p99_ns


def t_rec_s(t_sub_99_s: float | None, t_svc_s: float | None) -> float | None:
    """T_rec = max(T_sub(99), T_svc(10 %)); None when either never came."""
    if t_sub_99_s is None or t_svc_s is None:
        return None
    return max(t_sub_99_s, t_svc_s)
