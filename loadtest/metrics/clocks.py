"""How far the master's clock is from ours, from four-timestamp exchanges, and how sure that is.

    worker  asked --------------------------- received      delay  = (received - asked) - (answered - heard)
                 \\                         /                offset = ((heard - asked) + (answered - received)) / 2
    master        heard ------- answered                    the truth lies within offset +- delay/2

Law: the error is a bound, not a guess. Neither way takes less than no time, so however lopsided the delays are, the
true offset is within half the delay; from then on the two clocks may drift apart. The sample with the smallest bound is
kept; all samples age alike, so one that was beaten never wins again and need not be remembered.

Source: RFC 5905 (NTP), sections 8 and 10; METRICS "Clocks".
"""

from __future__ import annotations

from dataclasses import dataclass

DRIFT = 50e-6
"""How fast two clocks may run apart. RFC 5905 allows a disciplined clock 15 ppm; a free-running quartz is within 50."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One question and its answer: `asked_ns` and `received_ns` on our clock, the other two on the master's."""

    asked_ns: int
    heard_ns: int
    answered_ns: int
    received_ns: int

    @property
    def delay_ns(self) -> int:
        """Return the time spent on the way, there and back."""
        return (self.received_ns - self.asked_ns) - (self.answered_ns - self.heard_ns)

    @property
    def offset_ns(self) -> int:
        """Return what to add to our clock to get the master's, if both ways took equally long."""
        return ((self.heard_ns - self.asked_ns) + (self.answered_ns - self.received_ns)) // 2


class ClockEstimate:
    """What is known of the master's clock.

    Attributes:
        offset_ns: what to add to our clock to get the master's; 0 before the first exchange.
        exchanges: how many were taken in.
    """

    __slots__ = ("_best", "_drift", "exchanges", "offset_ns")

    def __init__(self, drift: float = DRIFT) -> None:
        self.offset_ns = 0
        self.exchanges = 0
        self._drift = drift
        self._best: Exchange | None = None

    def add(self, exchange: Exchange) -> bool:
        """Take in an exchange; return whether it is the best so far.

        Raises:
            ValueError: it took less than no time: its stamps are not of two monotonic clocks.
        """
        if exchange.delay_ns < 0 or exchange.answered_ns < exchange.heard_ns:
            raise ValueError(f"an exchange cannot take {exchange.delay_ns} ns on the way")
        self.exchanges += 1
        if self._best is not None and self.error_ns(exchange.received_ns) <= _bound_ns(exchange):
            return False
        self._best = exchange
        self.offset_ns = exchange.offset_ns
        return True

    def error_ns(self, now_ns: int) -> int:
        """Return the largest error that `offset_ns` can have at `now_ns` of our clock.

        Raises:
            ValueError: nothing is known yet.
        """
        if self._best is None:
            raise ValueError("no exchange yet: nothing is known of the master's clock")
        age_ns = max(0, now_ns - self._best.received_ns)
        return _bound_ns(self._best) + round(age_ns * self._drift)


def _bound_ns(exchange: Exchange) -> int:
    return exchange.delay_ns // 2 + 1  # the halves of odd numbers
