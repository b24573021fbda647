"""Rounds: where many nodes share a core, a node looks at its sockets every so often, not whenever something comes.

    [rest, then everything that has come] --> [rest, then everything that has come] --> ...

The law: each look finds many sockets ready. A node that wakes for each of them pays for the wake-up, its memory gone
from the caches, and not for the work; its neighbours pay for it too. The rest blocks the loop and adds to the latency
of every message: a node rests four times as long as it had to wait for a core since the last rest, so that nobody rests
long while a core is idle, and one with a core to itself never rests. Where it has several descriptor tables, each has
rounds of its own, and its wait for its turn counts too (`tables`).
"""

from __future__ import annotations

import math
import socket
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable
from pathlib import Path
from typing import Final

_LEAST_REST_S: Final = 0.1
_RESTS_PER_WAIT: Final = 4
_LOOPBACK: Final = ("127.0.0.1", "::1")
_SCHEDSTAT: Final = Path("/proc/thread-self/schedstat")


def core_wait_s() -> float:
    """Return how long this thread has waited for a core so far; infinity where nobody knows.

    Source: proc_pid_schedstat, second field. Cost: 10 us.
    """
    try:
        return int(_SCHEDSTAT.read_bytes().split()[1]) / 1e9
    except OSError:  # a kernel without scheduler statistics, or no file left to open
        return math.inf


def spare_kernel(listener: socket.socket) -> None:
    """Have the connections of a listener that is in a crowd cost the kernel less; they inherit it.

    They acknowledge with what they answer. On loopback, where there is nothing to congest, they do not pace: BBR, the
    default of some systems, arms a timer for each segment. Source: tcp(7), TCP_QUICKACK and TCP_CONGESTION.
    """
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
    if listener.getsockname()[0] in _LOOPBACK:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")


def work_in_rounds(
    loop: AbstractEventLoop,
    most_s: float,
    more: Callable[[], bool],
    waited_s: Callable[[], float] = core_wait_s,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Make `loop` rest before each look at its sockets, `most_s` seconds at most, unless `more` is known to wait.

    Args:
        waited_s: how long this thread has waited for a core in all.
        pause: rests for so many seconds; with 0 where more is known to wait.
    """
    before_s = 0.0

    def rest() -> None:
        nonlocal before_s
        if more():
            pause(0.0)
        else:
            now_s = waited_s()
            waited, before_s = now_s - before_s, now_s
            pause(most_s if math.isinf(now_s) else min(most_s, max(_LEAST_REST_S, _RESTS_PER_WAIT * waited)))
        loop.call_soon(rest)

    loop.call_soon(rest)
