"""When messages are due: schedules that never wait for the system (open loop).

    elapsed, done --due--> how many to send now        done --next_s--> when to look again

Law: the n-th message (from 0) has one scheduled time, seconds since the start of publishing, whatever happened to
those before it. The caller stamps a message with `time_of` its number, not with the time it got round to sending it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from random import Random
from typing import Protocol

RARE_GAPS = math.log(1_000)
"""One exponential gap in a thousand is longer than so many mean gaps."""


class Arrivals(Protocol):
    """A schedule of arrivals.

    Both answers are pure in (elapsed, done); a random schedule draws ahead, in order, from the generator it was given.
    """

    def due(self, elapsed_s: float, done: int) -> int:
        """Return how many more messages are due at `elapsed_s` after `done` were sent; late ones included."""

    def time_of(self, number: int) -> float:
        """Return the scheduled time of message `number` (from 0), in seconds since the start of publishing."""

    def next_s(self, done: int) -> float:
        """Return when the next message is due after `done` were sent: the time to sleep until."""


class _Schedule:
    """The answer that all schedules share."""

    def time_of(self, number: int) -> float:
        """See `Arrivals.time_of`."""
        raise NotImplementedError

    def next_s(self, done: int) -> float:
        """See `Arrivals.next_s`."""
        return self.time_of(done)


class Constant(_Schedule):
    """Even spacing: message n at n / rate, so the first is due at once.

    Args:
        rate_per_s: messages per second; above 0.
    """

    def __init__(self, rate_per_s: float) -> None:
        self._rate_per_s = _positive(rate_per_s)

    def time_of(self, number: int) -> float:
        """See `Arrivals.time_of`."""
        return number / self._rate_per_s

    def due(self, elapsed_s: float, done: int) -> int:
        """See `Arrivals.due`."""
        if elapsed_s < 0:
            return 0
        scheduled = int(elapsed_s * self._rate_per_s) + 1
        # The product may round across a whole number; the schedule itself decides.
        while scheduled > 0 and self.time_of(scheduled - 1) > elapsed_s:
            scheduled -= 1
        while self.time_of(scheduled) <= elapsed_s:
            scheduled += 1
        return max(0, scheduled - done)


class Burst(_Schedule):
    """All messages of a period at its start ("top of the hour"): burst k at k * every.

    Each burst holds rate * every messages; a fraction is carried over, so that the mean rate is exact.

    Args:
        rate_per_s: mean messages per second; above 0.
        every_s: time between bursts; above 0.
    """

    def __init__(self, rate_per_s: float, every_s: float = 1.0) -> None:
        self._every_s = _positive(every_s)
        self._size = _positive(rate_per_s) * self._every_s

    def _until(self, burst: int) -> int:
        """Return how many messages the bursts 0 .. burst hold together."""
        return math.ceil(round((burst + 1) * self._size, 9))

    def time_of(self, number: int) -> float:
        """See `Arrivals.time_of`."""
        burst = max(0, int(number / self._size) - 1)
        while self._until(burst) <= number:
            burst += 1
        return burst * self._every_s

    def due(self, elapsed_s: float, done: int) -> int:
        """See `Arrivals.due`."""
        if elapsed_s < 0:
            return 0
        burst = int(elapsed_s / self._every_s)
        if (burst + 1) * self._every_s <= elapsed_s:
            burst += 1
        elif burst * self._every_s > elapsed_s:
            burst -= 1
        return max(0, self._until(burst) - done)


class Poisson(_Schedule):
    """Independent arrivals: exponential gaps with mean 1 / rate.

    Args:
        rate_per_s: mean messages per second; above 0.
        rng: source of the gaps; the same seed gives the same schedule.

    Cost: keeps only the times between the oldest number still asked for and the newest one drawn.
    """

    def __init__(self, rate_per_s: float, rng: Random) -> None:
        self._times = poisson_times(rate_per_s, rng)
        self._drawn = [next(self._times)]
        self._first = 0

    def time_of(self, number: int) -> float:
        """See `Arrivals.time_of`.

        Raises:
            LookupError: a number before one that `due` was told to be done.
        """
        if number < self._first:
            raise LookupError(f"message {number} was done long ago; times from {self._first} on are kept")
        while number - self._first >= len(self._drawn):
            self._drawn.append(next(self._times))
        return self._drawn[number - self._first]

    def due(self, elapsed_s: float, done: int) -> int:
        """See `Arrivals.due`; forgets the times of messages before `done`."""
        number = done
        while self.time_of(number) <= elapsed_s:
            number += 1
        del self._drawn[: done - self._first]
        self._first = done
        return number - done


def poisson_times(rate_per_s: float, rng: Random) -> Iterator[float]:
    """Yield the arrival times of a Poisson process, in seconds since its start."""
    mean_s = 1.0 / _positive(rate_per_s)
    elapsed_s = 0.0
    while True:
        elapsed_s += rng.expovariate(1.0) * mean_s
        yield elapsed_s


def arrivals(kind: str, rate_per_s: float, rng: Random, burst_every_s: float = 1.0) -> Arrivals:
    """Return the schedule that a profile names: "constant", "poisson" or "burst".

    Raises:
        ValueError: another name, or a rate that is not above 0.
    """
    if kind == "constant":
        return Constant(rate_per_s)
    if kind == "poisson":
        return Poisson(rate_per_s, rng)
    if kind == "burst":
        return Burst(rate_per_s, burst_every_s)
    raise ValueError(f"no arrival schedule {kind!r}; there are constant, poisson and burst")


def arrival_times(kind: str, rate_per_s: float, rng: Random, burst_every_s: float = 1.0) -> Iterator[float]:
    """Yield the scheduled times of message 0, 1, 2 ... in seconds since the start of publishing, for ever.

    Cost: constant memory, however long; an `Arrivals` keeps what it may be asked for again.

    Raises:
        ValueError: as `arrivals`.
    """
    if kind == "poisson":
        return poisson_times(rate_per_s, rng)
    return map(arrivals(kind, rate_per_s, rng, burst_every_s).time_of, itertools.count())


def longest_silence_s(kind: str, rate_per_s: float, burst_every_s: float = 1.0) -> float:
    """Return how long a schedule may be silent: after that, a message that was due is missing.

    A random schedule has no such bound; it is given the silence that one gap in a thousand exceeds.
    """
    gap_s = 1.0 / _positive(rate_per_s)
    if kind == "poisson":
        return RARE_GAPS * gap_s
    if kind == "burst":
        return burst_every_s * math.ceil(round(gap_s / burst_every_s, 9))
    return gap_s


def _positive(value: float) -> float:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"a schedule needs a rate and a period above 0, not {value}")
    return value
