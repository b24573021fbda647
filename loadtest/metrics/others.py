"""What an event did to the clients that it did not disconnect, over all workers: degraded, and p99 after / before.

    BystanderPart, ... --add--> Others --figures--> "degraded", "others_p99_ratio", "others" of recovery in run.json

Laws: percentiles come from merged histograms; what is missing is later than everything that came. The interval draws
seconds, in blocks of neighbours, never single deliveries: those of one publish rise and fall together. It holds what
varies inside the windows, not what varies from run to run.

Source: Kuensch (1989), moving-block bootstrap.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from loadtest.metrics.bystanders import LEAST_BEFORE, MOST_WINDOW_S
from loadtest.metrics.distribution import rank
from loadtest.metrics.packed import HIGHEST_NS, Packed
from loadtest.metrics.tally import Tally
from loadtest.metrics.wire import integer

DRAWS = 400
BLOCK_S = 3
LEAST_SECONDS = 6
_LEVEL = 99.0
_SEED = 1
_MOST = 1 << 48

Floats = NDArray[np.float64]


class BystanderPart(NamedTuple):
    """What one worker tells of the bystanders of one event: `seconds` are (second since t0, missing, latencies)."""

    clients: int
    judged: int
    degraded: int
    seconds: list[tuple[int, int, Packed]]

    @classmethod
    def read(cls, wire: object) -> BystanderPart:
        """Read what `judge` gave.

        Raises:
            ValueError: naming what is wrong.
        """
        if not isinstance(wire, Mapping):
            raise ValueError(f"bystanders are an object, not {type(wire).__name__}")
        clients = integer(wire.get("clients"), "bystanders", 0, _MOST)
        judged = integer(wire.get("judged"), "bystanders judged", 0, clients)
        degraded = integer(wire.get("degraded"), "bystanders degraded", 0, judged)
        given = wire.get("seconds")
        if not isinstance(given, Mapping) or len(given) > 2 * MOST_WINDOW_S:
            raise ValueError(f"bystanders key 'seconds' must be an object of at most {2 * MOST_WINDOW_S} seconds")
        seconds = []
        for key, pair in given.items():
            second = integer(key, "second of bystanders", -MOST_WINDOW_S, MOST_WINDOW_S - 1)
            if not isinstance(pair, list | tuple) or len(pair) != 2:
                raise ValueError("a second of bystanders has 2 entries: missing, latencies")
            seconds.append((second, integer(pair[0], "bystanders missing", 0, _MOST), Packed.read(pair[1])))
        return cls(clients, judged, degraded, seconds)


class Others:
    """The bystanders of one event. Cost: a tally for each second looked at, 170 kB each; the figures, 10 ms, once."""

    def __init__(self) -> None:
        self._clients = self._judged = self._degraded = 0
        self._seconds: dict[int, tuple[int, Tally]] = {}
        self._told: dict[str, Any] | None = None

    def add(self, part: BystanderPart) -> None:
        """Add one worker's part."""
        self._told = None
        self._clients += part.clients
        self._judged += part.judged
        self._degraded += part.degraded
        for second, missing, latencies in part.seconds:
            before, tally = self._seconds.get(second, (0, Tally()))
            tally.add(latencies)
            self._seconds[second] = before + missing, tally

    def figures(self, blast_radius: float | None) -> dict[str, Any]:
        """Return what is added to "recovery" in run.json.

        Keys: `degraded`, the share of *all* clients (with the blast radius: of all that were touched), an estimate from
        the sample; `others_p99_ratio`, p99 of the others after / before, None also when more than one of 100 messages
        never came; `others`, what both rest on: clients of the sample, how many were judged, latencies, messages that
        had not come by their deadline, and the ratio's 95 % interval.
        """
        if self._told is None:
            self._told = self._compare()
        return {"degraded": self._degraded_share(blast_radius), **self._told}

    def _degraded_share(self, blast_radius: float | None) -> float | None:
        if blast_radius is None or blast_radius >= 1:
            return None if blast_radius is None else 0.0
        return (1 - blast_radius) * self._degraded / self._judged if self._judged else None

    def _compare(self) -> dict[str, Any]:
        before, after = (
            [self._seconds[at] for at in sorted(self._seconds) if (at >= 0) == late] for late in (False, True)
        )
        ratio, interval = None, None
        if min(_due(before), _due(after)) >= LEAST_BEFORE:
            whole = [_percentile_ns(*_matrix(rows), np.ones((1, len(rows)))) for rows in (before, after)]
            ratio = _quotient(float(whole[1][0]), float(whole[0][0]))
            interval = _interval(before, after)
        return {
            "others_p99_ratio": ratio,
            "others": {
                "clients": self._clients,
                "judged": self._judged,
                "degraded": self._degraded,
                "before_ms": Tally.of(tally for _, tally in before).latency_ms(),
                "after_ms": Tally.of(tally for _, tally in after).latency_ms(),
                "missing_before": sum(missing for missing, _ in before),
                "missing_after": sum(missing for missing, _ in after),
                "p99_ratio_95": interval,
            },
        }


_Rows = Sequence[tuple[int, Tally]]
"""(missing, latencies) of each second."""


def _due(rows: _Rows) -> int:
    return sum(missing + tally.count for missing, tally in rows)


def _matrix(rows: _Rows) -> tuple[Floats, Floats]:
    """Return the values that were hit, ascending and infinity last, and how often each was in each second."""
    hit = np.unique(np.concatenate([tally.nonzero() for _, tally in rows]))
    table = np.zeros((len(rows), len(hit) + 1))
    for at, (missing, tally) in enumerate(rows):
        own = tally.nonzero()
        table[at, np.searchsorted(hit, own)] = tally.counts[own]
        table[at, -1] = missing
    return np.append(HIGHEST_NS[hit].astype(float), math.inf), table


def _percentile_ns(values: Floats, table: Floats, weights: Floats) -> Floats:
    """Return the p99 of each row of `weights`, which says how often each second was drawn; NaN where nothing was."""
    sums = (weights @ table).cumsum(axis=1)
    found = [values[np.searchsorted(row, rank(_LEVEL, int(row[-1])))] if row[-1] else math.nan for row in np.rint(sums)]
    return np.array(found)


def _quotient(after_ns: float, before_ns: float) -> float | None:
    return after_ns / before_ns if 0 < before_ns < math.inf and after_ns < math.inf else None


def _interval(before: _Rows, after: _Rows) -> dict[str, float | None] | None:
    """Return the middle 95 % of the ratio over redrawn windows, an end None if infinite; None for too few seconds."""
    if min(len(before), len(after)) < LEAST_SECONDS:
        return None
    rng = np.random.default_rng(_SEED)
    drawn = [_percentile_ns(*_matrix(rows), _blocks(len(rows), rng)) for rows in (before, after)]
    with np.errstate(invalid="ignore"):
        ratios = np.sort(drawn[1] / drawn[0])
    cut = round(0.025 * DRAWS)
    ends = {"low": float(ratios[cut]), "high": float(ratios[-1 - cut])}
    return {end: value if math.isfinite(value) else None for end, value in ends.items()}


def _blocks(length: int, rng: np.random.Generator) -> Floats:
    """Return, for each draw, how often each of `length` seconds is in it."""
    starts = rng.integers(0, length - BLOCK_S + 1, (DRAWS, -(-length // BLOCK_S)))
    chosen = (starts[:, :, None] + np.arange(BLOCK_S)).reshape(DRAWS, -1)[:, :length]
    drawn: Floats = (chosen[:, :, None] == np.arange(length)).sum(axis=1).astype(float)
    return drawn
