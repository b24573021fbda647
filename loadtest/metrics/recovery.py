"""Follow the clients of one mass disconnect back: when were p % of them connected, when subscribed, when reached.

    worker 1: herd --drop, connected, acknowledged, subscribed, attempt--> RecoveryCurve --take()--\\
    worker 2: herd ------------------------------------------------------> RecoveryCurve --take()--+--> merge_wire

The law of this file: P is the set of clients subscribed just before t0, and only members of P move the three curves:
connected, acknowledged (all its subscriptions are, too), subscribed (a canary message has reached it, too).
All start at |P|; a member that loses its transport takes 1 away, one that has it back gives 1. A curve is a sum of
deltas by time since t0, so merging workers is addition and the order of merging cannot matter. Times are rounded *up*
to 1 ms (10 ms after 100 s, 100 ms after 1,000 s), so a recovery is never told too early; what happens and is undone
inside one such bucket is not seen.

Counts are exact: p % of P means at least ceil(p * |P| / 100) clients.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args

from loadtest.clock import NS_PER_MS
from loadtest.metrics.wire import integer

Series = Literal["connected", "acknowledged", "subscribed"]

PERCENTS = (50.0, 90.0, 99.0, 99.9, 100.0)
"""The p of T_conn(p) and T_sub(p) in `loadtest.run/1`."""

ATTEMPT_BUCKET_NS = 100 * NS_PER_MS
HORIZON_MS = 7 * 24 * 3_600 * 1_000
"""Whatever comes later than this after t0 is counted at this time: memory stays bounded."""

_MAX_COUNT = 1 << 48
_MAX_PAIRS = 400_000
_MAX_POINTS = 5_000


class RecoveryCurve:
    """The recovery of one event.

    Args:
        t0_ns: when the event began, on the clock of every later `t_ns`.
        population: |P| as far as this process knows it. A master that merges workers starts with 0.

    Cost: 1 us per record (measured, two busy cores); 100 bytes per distinct millisecond in which something happened.
    """

    def __init__(self, t0_ns: int, population: int = 0) -> None:
        self.t0_ns = t0_ns
        self._fresh = _Deltas(population)
        self._shipped = _Deltas()

    # -- recording, by the herd -----------------------------------------------------------------------------------

    def add_population(self, n: int) -> None:
        """Add `n` clients to P."""
        self._fresh.population += n

    def connected(self, t_ns: int, delta: int) -> None:
        """Count `delta` members of P that hold a transport again (+) or lost it (-)."""
        _bump(self._fresh.connected, self._key_ms(t_ns), delta)

    def acknowledged(self, t_ns: int, delta: int) -> None:
        """Count `delta` members of P whose subscriptions are all acknowledged again, canary or not (+), or not (-)."""
        _bump(self._fresh.acknowledged, self._key_ms(t_ns), delta)

    def subscribed(self, t_ns: int, delta: int) -> None:
        """Count `delta` members of P that are connect-acknowledged, subscribed to all they had and reached by a canary
        again (+), or no longer (-)."""
        _bump(self._fresh.subscribed, self._key_ms(t_ns), delta)

    def primary_drop(self, t_ns: int, n: int = 1) -> None:
        """Count the first drop of `n` members of P; the deltas of the three curves carry the same `t_ns`."""
        _bump(self._fresh.primary, self._key_ms(t_ns), n)

    def first_loss(self, t_ns: int) -> None:
        """Count the first drop of a member of P, in all three curves too. A deploy says it for everybody at once."""
        key, fresh = self._key_ms(t_ns), self._fresh
        fresh.primary[key] = fresh.primary.get(key, 0) + 1
        for series in (fresh.connected, fresh.acknowledged, fresh.subscribed):
            series[key] = series.get(key, 0) - 1

    def secondary_drop(self, t_ns: int, n: int = 1) -> None:  # noqa: ARG002 - a count needs no time, yet callers have it
        """Count `n` drops after t0 of clients that had recovered or were never in P."""
        self._fresh.secondary += n

    def attempt(self, t_ns: int, n: int = 1) -> None:
        """Count `n` connect attempts begun at `t_ns`."""
        key = max(0, t_ns - self.t0_ns) // ATTEMPT_BUCKET_NS
        _bump(self._fresh.attempts, min(key, HORIZON_MS // 100), n)

    # -- shipping -------------------------------------------------------------------------------------------------

    @property
    def pending(self) -> bool:
        """Whether anything was recorded since the last `take`."""
        return not self._fresh.empty

    def take(self) -> dict[str, Any]:
        """Return what was recorded here since the last take, as plain ints and lists. What was merged is not shipped
        again."""
        fresh, self._fresh = self._fresh, _Deltas()
        self._shipped.add(fresh)
        return fresh.to_wire()

    def merge_wire(self, wire: object) -> None:
        """Add the increments of one `take`.

        Raises:
            ValueError: naming what is wrong; then nothing was added.
        """
        self._shipped.add(_Deltas.from_wire(wire))

    # -- reading --------------------------------------------------------------------------------------------------

    @property
    def population(self) -> int:
        """|P|."""
        return self._fresh.population + self._shipped.population

    @property
    def connected_now(self) -> int:
        """How many of P hold a transport after everything recorded so far."""
        return self._now("connected")

    @property
    def acknowledged_now(self) -> int:
        """How many of P have all their subscriptions acknowledged after everything recorded so far, canary or not."""
        return self._now("acknowledged")

    @property
    def subscribed_now(self) -> int:
        """How many of P are fully subscribed after everything recorded so far."""
        return self._now("subscribed")

    @property
    def dropped(self) -> int:
        """How many of P were dropped at least once."""
        return sum(sum(part.primary.values()) for part in (self._fresh, self._shipped))

    @property
    def blast_radius(self) -> float | None:
        """The share of P that was dropped at least once; None when P is empty."""
        return self.dropped / self.population if self.population else None

    @property
    def last_drop_ns(self) -> int:
        """When a member of P was dropped for the first time, last of all; t0 when none was."""
        keys = (key for part in (self._fresh, self._shipped) for key in part.primary)
        return self.t0_ns + max(keys, default=0) * NS_PER_MS

    @property
    def secondary_drops(self) -> int:
        """Drops after t0 of clients that had recovered or were never in P."""
        return self._fresh.secondary + self._shipped.secondary

    @property
    def attempts(self) -> int:
        """Connect attempts since t0."""
        return sum(sum(part.attempts.values()) for part in (self._fresh, self._shipped))

    @property
    def amplification(self) -> float | None:
        """Connect attempts / |P|; None when P is empty."""
        return self.attempts / self.population if self.population else None

    def share(self, series: Series) -> tuple[list[float], list[float]]:
        """Return the step curve (seconds since t0, share of P), from (0, 1.0) on; empty when P is empty."""
        population = self.population
        if not population:
            return [], []
        steps = list(self._steps(series))
        return [0.0, *(key / 1000 for key, _ in steps)], [1.0, *(count / population for _, count in steps)]

    def at(self, series: Series, t_ns: int) -> int:
        """Return how many of P were there at `t_ns`, as far as it has been told.

        Cost: 0.03 us per distinct time of the series (measured); `acknowledged_now` and `subscribed_now` take a third.
        """
        last = (t_ns - self.t0_ns) // NS_PER_MS
        parts = (part.series(series).items() for part in (self._fresh, self._shipped))
        return self.population + sum(delta for part in parts for key, delta in part if key <= last)

    def t_conn_s(self, percent: float) -> float | None:
        """T_conn(p): seconds until `percent` of P hold a transport again. See `t_sub_s` for 0.0 and None."""
        return self._first_return_s("connected", percent)

    def t_ack_s(self, percent: float) -> float | None:
        """Return when all subscriptions of `percent` of P were acknowledged again, canary or not; else as `t_sub_s`."""
        return self._first_return_s("acknowledged", percent)

    def t_sub_s(self, percent: float) -> float | None:
        """T_sub(p): seconds from t0 until `percent` of P are fully subscribed again.

        0.0 when the share never fell below it; otherwise the first return to it after the last *primary* drop that
        took or kept the share below it, so that a rolling deploy counts until its last node, while a client that is
        dropped again after recovering is a secondary drop and does not move the figure. None: never, or P is empty.
        """
        return self._first_return_s("subscribed", percent)

    def outage_s_mean(self, until_ns: int) -> float | None:
        """Time lost: the integral of (1 - subscribed share) from t0 to `until_ns`, in seconds per client of P."""
        population = self.population
        if not population:
            return None
        until_ms = max(0.0, (until_ns - self.t0_ns) / NS_PER_MS)
        lost_ms, since_ms, missing = 0.0, 0.0, 0
        for key, count in self._steps("subscribed"):
            if key >= until_ms:
                break
            lost_ms += missing * (key - since_ms)
            since_ms, missing = key, max(0, population - count)
        lost_ms += missing * (until_ms - since_ms)
        return lost_ms / population / 1000

    def peak_attempts(self, window_s: float) -> int:
        """Return the storm peak: most attempts in any `window_s` (a multiple of 0.1 s, aligned to 0.1 s)."""
        width = max(1, round(window_s * 10))
        attempts = self._merged("attempts")
        keys = sorted(attempts)
        peak = inside = first = 0
        for key in keys:
            inside += attempts[key]
            while keys[first] <= key - width:
                inside -= attempts[keys[first]]
                first += 1
            peak = max(peak, inside)
        return peak

    def as_recovery(
        self, until_ns: int, *, t_svc_s: float | None, t_rec_s: float | None, lost: int | None
    ) -> dict[str, Any]:
        """Return "recovery" of an event in `loadtest.run/1`; what other books know is passed in."""
        return {
            "t_conn_s": {f"{percent:g}": self.t_conn_s(percent) for percent in PERCENTS},
            "t_ack_s": {f"{percent:g}": self.t_ack_s(percent) for percent in PERCENTS},
            "t_sub_s": {f"{percent:g}": self.t_sub_s(percent) for percent in PERCENTS},
            "t_svc_s": t_svc_s,
            "t_rec_s": t_rec_s,
            "attempts": self.attempts,
            "amplification": self.amplification,
            "peak_attempts_1s": self.peak_attempts(1),
            "peak_attempts_10s": self.peak_attempts(10),
            "secondary_drops": self.secondary_drops,
            "outage_s_mean": self.outage_s_mean(until_ns),
            "lost": lost,
            "blast_radius": self.blast_radius,
        }

    def as_curve(self, max_points: int = _MAX_POINTS) -> dict[str, Any]:
        """Return the event's entry in `curves.json`: the three shares on one time axis, thinned to about `max_points`.

        Of every stretch that is thinned the worst and the last point stay, so a dip is never lost.
        """
        population = self.population
        points: list[tuple[int, ...]] = [(0, population, population, population)] if population else []
        of_all = [self._merged(series) for series in get_args(Series)]
        now = [population] * len(of_all)
        for key in sorted(set().union(*of_all)):
            now = [count + deltas.get(key, 0) for count, deltas in zip(now, of_all, strict=True)]
            points.append((key, *now))
        if len(points) > max_points:
            size = -(-2 * len(points) // max_points)
            chunks = [points[at : at + size] for at in range(1, len(points), size)]
            thinned = {point for chunk in chunks for point in (min(chunk, key=lambda p: (p[3], p[1])), chunk[-1])}
            points = [points[0], *sorted(thinned)]
        scale = population or 1
        return {
            "population": population,
            "t_s": [point[0] / 1000 for point in points],
            **{series: [point[at] / scale for point in points] for at, series in enumerate(get_args(Series), 1)},
        }

    def _key_ms(self, t_ns: int) -> int:
        """Round the time since t0 up to its bucket, in ms; a time before t0 is t0."""
        key = -((self.t0_ns - t_ns) // NS_PER_MS)
        if key <= 100_000:
            return max(key, 0)
        step = 10 if key <= 1_000_000 else 100
        return min(-(-key // step) * step, HORIZON_MS)

    def _merged(self, series: str) -> dict[int, int]:
        merged = dict(self._shipped.series(series))
        for key, delta in self._fresh.series(series).items():
            _bump(merged, key, delta)
        return merged

    def _now(self, series: Series) -> int:
        return self.population + sum(sum(part.series(series).values()) for part in (self._fresh, self._shipped))

    def _steps(self, series: Series) -> Iterator[tuple[int, int]]:
        deltas = self._merged(series)
        count = self.population
        for key in sorted(deltas):
            count += deltas[key]
            yield key, count

    def _first_return_s(self, series: Series, percent: float) -> float | None:
        population = self.population
        if not population:
            return None
        needed = -(-population * round(percent * 1000) // 100_000)
        deltas, drops = self._merged(series), self._merged("primary")
        count, fell, back_ms = population, False, None
        for key in sorted(deltas.keys() | drops.keys()):
            count += deltas.get(key, 0)
            if count < needed:
                if key in drops or not fell:
                    fell, back_ms = True, None
            elif fell and back_ms is None:
                back_ms = key
        if not fell:
            return 0.0
        return None if back_ms is None else back_ms / 1000


class _Deltas:
    """Increments: everything about a curve that adds up."""

    __slots__ = ("acknowledged", "attempts", "connected", "population", "primary", "secondary", "subscribed")

    def __init__(self, population: int = 0) -> None:
        self.population = population
        self.connected: dict[int, int] = {}
        self.acknowledged: dict[int, int] = {}
        self.subscribed: dict[int, int] = {}
        self.primary: dict[int, int] = {}
        self.attempts: dict[int, int] = {}
        self.secondary = 0

    @property
    def empty(self) -> bool:
        series = (self.connected, self.acknowledged, self.subscribed, self.primary, self.attempts)
        return not (self.population or self.secondary or any(series))

    def series(self, name: str) -> dict[int, int]:
        found: dict[int, int] = getattr(self, name)
        return found

    def add(self, other: _Deltas) -> None:
        self.population += other.population
        self.secondary += other.secondary
        for name in _SERIES:
            mine = getattr(self, name)
            for key, delta in getattr(other, name).items():
                _bump(mine, key, delta)

    def to_wire(self) -> dict[str, Any]:
        wire: dict[str, Any] = {"population": self.population, "secondary": self.secondary}
        for name in _SERIES:
            wire[name] = [number for pair in sorted(getattr(self, name).items()) for number in pair]
        return wire

    @classmethod
    def from_wire(cls, wire: object) -> _Deltas:
        if not isinstance(wire, Mapping):
            raise ValueError(f"a recovery curve is an object, not {type(wire).__name__}")
        deltas = cls(integer(wire.get("population"), "recovery population", 0, _MAX_COUNT))
        deltas.secondary = integer(wire.get("secondary"), "recovery secondary", 0, _MAX_COUNT)
        for name, lowest in _SERIES.items():
            flat = wire.get(name)
            if not isinstance(flat, list | tuple) or len(flat) % 2 or len(flat) > 2 * _MAX_PAIRS:
                raise ValueError(f"recovery key {name!r} must be a list of at most {_MAX_PAIRS:,} pairs")
            series = getattr(deltas, name)
            for at in range(0, len(flat), 2):
                key = integer(flat[at], f"recovery {name} time", 0, HORIZON_MS)
                _bump(series, key, integer(flat[at + 1], f"recovery {name}", lowest, _MAX_COUNT))
        return deltas


_SERIES = dict.fromkeys(get_args(Series), -_MAX_COUNT) | {"primary": 0, "attempts": 0}
"""The series of a curve and the least delta each may carry."""


def _bump(series: dict[int, int], key: int, delta: int) -> None:
    series[key] = series.get(key, 0) + delta
