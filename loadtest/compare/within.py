"""How far a percentile of one run could have come out otherwise: its seconds drawn again, in blocks.

    second: count, p50, p90, p99, max --> a piecewise line from quantile to quantile --+
    blocks of neighbouring seconds, drawn with replacement --> one mixture ------------+--> its percentile, many times

What is drawn are seconds of the hold phase with the publishes in them, never single deliveries: deliveries of one
publish rise and fall together. The interval holds what varies inside the run and not what varies from run to run, so it
ranks nothing; it is shown where there is one run of each version.

The interval log holds four quantiles a second, not the distribution; between two of them it is taken to be even on a
logarithmic scale, so an interval here is good to about a tenth of its width.

Source: Kuensch (1989), moving-block bootstrap.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DRAWS = 200
BLOCK_S = 3
LEAST_SECONDS = 6
_KNOTS = (("p50_ms", 0.5), ("p90_ms", 0.9), ("p99_ms", 0.99), ("max_ms", 1.0))
_STEPS_PER_DOUBLING = 64
_FASTEST_SHARE = 0.25
"""Of the median: where the fastest delivery of a second is taken to lie, which the log does not say."""


@dataclass(frozen=True, slots=True)
class _Second:
    count: float
    knots: tuple[tuple[float, float], ...]

    def below(self, log_ms: float) -> float:
        """Return how many deliveries were faster than exp(`log_ms`)."""
        before, share = self.knots[0]
        if log_ms <= before:
            return 0.0
        for at, upto in self.knots[1:]:
            if log_ms < at:
                return self.count * (share + (upto - share) * (log_ms - before) / (at - before))
            before, share = at, upto
        return self.count


def percentile_draws(intervals: Sequence[Mapping[str, Any]], percentile: float, seed: int = 1) -> list[float]:
    """Return the fan-out percentile, in ms, of `DRAWS` redrawn runs; [] when the log is too short to say.

    Args:
        intervals: interval lines of one run.
        percentile: 0 .. 100.
    """
    seconds = [second for line in intervals if line.get("phase") == "hold" and (second := _second(line)) is not None]
    if len(seconds) < LEAST_SECONDS:
        return []
    low = min(second.knots[0][0] for second in seconds)
    high = max(second.knots[-1][0] for second in seconds)
    size = max(2, math.ceil((high - low) / math.log(2) * _STEPS_PER_DOUBLING) + 1)
    grid = [low + (high - low) * at / (size - 1) for at in range(size)]
    table = [[second.below(log_ms) for log_ms in grid] for second in seconds]
    rng = random.Random(seed)
    return [_percentile(table, _blocks(len(seconds), rng), grid, percentile) for _ in range(DRAWS)]


def _second(line: Mapping[str, Any]) -> _Second | None:
    fanout = line.get("fanout")
    if not isinstance(fanout, Mapping):
        return None
    values = [fanout.get("delivered"), *(fanout.get(key) for key, _ in _KNOTS)]
    if not all(isinstance(value, int | float) and not isinstance(value, bool) and value > 0 for value in values):
        return None
    count, *latencies = (float(value) for value in values if value is not None)
    knots = [(math.log(latencies[0] * _FASTEST_SHARE), 0.0)]
    for latency, (_, share) in zip(latencies, _KNOTS, strict=True):
        knots.append((max(math.log(latency), knots[-1][0]), share))
    return _Second(count, tuple(knots))


def _blocks(length: int, rng: random.Random) -> list[int]:
    chosen: list[int] = []
    while len(chosen) < length:
        start = rng.randrange(length - BLOCK_S + 1)
        chosen += range(start, start + BLOCK_S)
    return chosen[:length]


def _percentile(table: Sequence[Sequence[float]], chosen: Sequence[int], grid: Sequence[float], wanted: float) -> float:
    """Return the latency below which `wanted` percent of the chosen seconds' deliveries lie: a search on the grid."""
    total = sum(table[at][-1] for at in chosen)
    low, high = 0, len(grid) - 1
    while high - low > 1:
        middle = (low + high) // 2
        enough = sum(table[at][middle] for at in chosen) >= total * wanted / 100
        low, high = (low, middle) if enough else (middle, high)
    return math.exp(grid[high])
