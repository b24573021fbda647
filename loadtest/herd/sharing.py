"""How many workers share a core of this machine: one figure, told by whoever starts them, read by whoever paces itself.

    nursery --tell--> environment of the worker --workers_per_core--> engine (rounds), herd (late acks), patience

Law: a worker that was told nothing has a core to itself.
"""

from __future__ import annotations

import os

VARIABLE = "LOADTEST_WORKERS_PER_CORE"
MANY = 4.0
"""Workers per core above which herds work in rounds (`users.engine`)."""


def share_of(workers: int) -> float:
    """Return how many of `workers` on this machine share one of the cores this process may use."""
    return workers / len(os.sched_getaffinity(0))


def tell(workers: int) -> float:
    """Let this process and its children know that `workers` share this machine; return how many share a core."""
    shared = share_of(workers)
    os.environ[VARIABLE] = f"{shared:g}"
    return shared


def workers_per_core() -> float:
    """Return how many workers share a core, as far as this process has been told; 0: it has not."""
    return float(os.environ.get(VARIABLE, "0"))


def are_many() -> bool:
    """Whether so many workers share a core that their herds work in rounds."""
    return workers_per_core() > MANY
