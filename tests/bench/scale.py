"""How big the benchmarks are: `FULL` for figures to be quoted, `QUICK` to see that everything works."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Scale:
    """Sizes.

    Attributes:
        small, large: the two sizes of the population between which memory and cost per connection are compared.
        per_process: connections of one client (and one server) process at most: open files are limited.
        trees: other folders that hold a `loadtest` package, measured beside ours.
    """

    rounds: int = 11
    fanout_connections: int = 4_000
    broadcasts: int = 25
    connects: int = 3_000
    small: int = 10_000
    large: int = 100_000
    per_process: int = 17_000
    lag_connections: int = 2_000
    lag_s: float = 6.0
    merge_workers: int = 60
    merge_seconds: int = 10
    trees: tuple[Path, ...] = ()


FULL = Scale()
QUICK = Scale(
    rounds=2,
    fanout_connections=300,
    broadcasts=5,
    connects=200,
    small=400,
    large=2_000,
    per_process=1_000,
    lag_connections=200,
    lag_s=1.0,
    merge_workers=6,
    merge_seconds=2,
)
