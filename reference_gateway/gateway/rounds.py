"""Rounds: where many nodes share a core, a node looks at its sockets every so often, not whenever something comes.

    [rest, then everything that has come] --> [rest, then everything that has come] --> ...

The law: each look finds many sockets ready. A node that wakes for each of them pays for the wake-up, its memory gone
from the caches, and not for the work; its neighbours pay for it too. The rest blocks the loop, so it is short, and it
adds to the latency of every message: a node with a core to itself never rests.
"""

from __future__ import annotations

import time
from asyncio import AbstractEventLoop
from collections.abc import Callable


def work_in_rounds(loop: AbstractEventLoop, rest_s: float, more: Callable[[], bool]) -> None:
    """Make `loop` rest `rest_s` seconds before each look at its sockets, unless `more` is known to wait."""

    def rest() -> None:
        if not more():
            time.sleep(rest_s)
        loop.call_soon(rest)

    loop.call_soon(rest)
