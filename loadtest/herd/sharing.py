"""How many herds share a core of this machine: one figure, told by whoever starts them, read by whoever paces itself.

    nursery --tell--> environment of the worker --herds_per_core--> engine (rounds), herd (late acks), patience

Law: a worker that was told nothing has a core to itself. A worker with several descriptor tables has a herd in each.
"""

from __future__ import annotations

import os

VARIABLE = "LOADTEST_HERDS_PER_CORE"
MANY = 4.0
"""Herds per core above which they work in rounds (`users.engine`)."""


def share_of(herds: int) -> float:
    """Return how many of `herds` on this machine share one of the cores this process may use."""
    return herds / len(os.sched_getaffinity(0))


def tell(herds: int) -> float:
    """Let this process and its children know that `herds` share this machine; return how many share a core."""
    shared = share_of(herds)
    os.environ[VARIABLE] = f"{shared:g}"
    return shared


def herds_per_core() -> float:
    """Return how many herds share a core, as far as this process has been told; 0: it has not."""
    return float(os.environ.get(VARIABLE, "0"))


def are_many() -> bool:
    """Whether so many share a core that they work in rounds."""
    return herds_per_core() > MANY
