"""All times of a run are on the master's clock: this is a worker's copy of it.

    worker --clock: asked--> master --clock: asked, heard, answered, which clock--> worker       (a few, then every 3 s)

Laws: on the master's own clock the copy is that clock itself, exact and free of cost; a network namespace, a container
or a chroot changes nothing about that, another kernel or another time namespace does. Elsewhere the copy is this
process's monotonic clock plus the estimated offset, with its error known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from loadtest.clock import NS_PER_S, Clock, now_ns
from loadtest.metrics.clocks import ClockEstimate, Exchange
from loadtest.metrics.wire import integer

AT_FIRST = 8
"""Exchanges before the copy is used."""
EVERY_NS = 3 * NS_PER_S
MOST_NS = 1 << 62


def clock_identity(root: Path = Path("/")) -> str:
    """Return a name that is the same for all processes that read the same CLOCK_MONOTONIC: boot and time namespace.

    Source: time_namespaces(7); random(4), boot_id.
    """
    try:
        boot = (root / "proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
    try:
        offsets = " ".join((root / "proc/self/timens_offsets").read_text().split())
    except OSError:
        offsets = ""  # a kernel without time namespaces has one clock
    return f"{boot} {offsets}"


def answer(data: Mapping[str, Any], heard_ns: int, identity: str) -> dict[str, Any]:
    """Return the master's answer to a question that was heard at `heard_ns`.

    Raises:
        ValueError: the question is none.
    """
    asked_ns = integer(data.get("asked_ns"), "asked_ns", 0, MOST_NS)
    return {"asked_ns": asked_ns, "heard_ns": heard_ns, "answered_ns": now_ns(), "clock": identity}


class Timekeeper:
    """Keep a worker's copy of the master's clock.

    Args:
        ask: sends a question to the master. None: this process is the master too.

    Attributes:
        clock: the copy; final once `known`.
        known: whether it may be used.
        answered: whether the master has ever answered.
    """

    def __init__(self, ask: Callable[[dict[str, Any]], None] | None) -> None:
        self.clock: Clock = now_ns
        self.known = self.answered = ask is None
        self._ask = ask
        self._estimate: ClockEstimate | None = None
        self._identity = clock_identity()
        self._next_ns = 0

    def tend(self) -> None:
        """Ask if it is time to; to be called often. A question that got lost is repeated."""
        now = now_ns()
        if self._ask is not None and now >= self._next_ns and not (self.known and self._estimate is None):
            self._next_ns = now + (EVERY_NS if self.known else NS_PER_S // 4)
            self._ask({"asked_ns": now})

    def take(self, data: Mapping[str, Any]) -> None:
        """Take the master's answer; until the copy may be used, ask again at once.

        Raises:
            ValueError: the answer is none.
        """
        received_ns = now_ns()
        self.answered = True
        if data.get("clock") and data["clock"] == self._identity:
            self.known = True
            return
        asked_ns, heard_ns, answered_ns = (
            integer(data.get(key), key, 0, MOST_NS) for key in ("asked_ns", "heard_ns", "answered_ns")
        )
        if self._estimate is None:
            self._estimate = ClockEstimate()
            self.clock = _shifted(self._estimate)
        self._estimate.add(Exchange(asked_ns, heard_ns, answered_ns, received_ns))
        if not self.known:
            self.known = self._estimate.exchanges >= AT_FIRST
            self._next_ns = received_ns + EVERY_NS if self.known else 0
            self.tend()

    @property
    def offset_ns(self) -> int:
        """Return what is added to our clock; 0 on the master's own."""
        return 0 if self._estimate is None else self._estimate.offset_ns

    @property
    def error_ns(self) -> int:
        """Return the largest error that the copy can have now; 0 on the master's own clock."""
        return 0 if self._estimate is None else self._estimate.error_ns(now_ns())


def _shifted(estimate: ClockEstimate) -> Clock:
    def clock() -> int:
        return now_ns() + estimate.offset_ns

    return clock
