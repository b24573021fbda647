"""What messages waited for the harness itself: from the kernel's stamp of their arrival to the read that took them.

    herd.queue_delay --take--> ReceiveQueue --to_wire, read--> merged over time (`follow`) and over workers (`join`)

Law: these are reads of a sample of connections, not messages. A read is entered once, with the delay of the newest
message in it: exact where every message is read by itself, as in a burst of one message to everybody, and a lower bound
where several pile up on one connection (`herd.queue_delay` says why the kernel cannot tell more).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from loadtest.clock import NS_PER_MS
from loadtest.metrics.histogram import Histogram
from loadtest.metrics.wire import integer

_MOST = 1 << 53


@dataclass(slots=True)
class ReceiveQueue:
    """Receive-queue delays of some time.

    Attributes:
        delays: of every read on a sampled connection. connections: how many are sampled.
        error_ns: how far each delay may be off, from the two clocks. discarded: reads between which the wall clock was
        set, whose delays nobody knows.
    """

    delays: Histogram = field(default_factory=Histogram)
    connections: int = 0
    error_ns: int = 0
    discarded: int = 0

    @classmethod
    def read(cls, wire: object) -> ReceiveQueue:
        """Rebuild what `to_wire` gave.

        Raises:
            ValueError: naming what is wrong.
        """
        if not isinstance(wire, Mapping):
            raise ValueError(f"receive_queue must be an object, not {type(wire).__name__}")
        counts = {name: integer(wire.get(name), name, 0, _MOST) for name in ("connections", "error_ns", "discarded")}
        try:
            delays = Histogram.from_wire(wire.get("delays"))
        except ValueError as error:
            raise ValueError(f"receive_queue delays: {error}") from error
        return cls(delays, **counts)

    def to_wire(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "delays": self.delays.to_wire(),
            "connections": self.connections,
            "error_ns": self.error_ns,
            "discarded": self.discarded,
        }

    def join(self, other: ReceiveQueue) -> None:
        """Merge what others measured in the same time: their samples are different connections."""
        self._merge(other, self.connections + other.connections)

    def follow(self, later: ReceiveQueue) -> None:
        """Merge what the same ones measured later: the sample counts once, where it was largest."""
        self._merge(later, max(self.connections, later.connections))

    def _merge(self, other: ReceiveQueue, connections: int) -> None:
        self.delays.add(other.delays)
        self.connections = connections
        self.error_ns = max(self.error_ns, other.error_ns)
        self.discarded += other.discarded

    def figures(self) -> dict[str, Any]:
        """Return "receive_queue_*" of "generator" in run.json; times are null when nothing was read."""
        latency_ms = self.delays.latency_ms()
        return {f"receive_queue_{key}_ms": latency_ms[key] for key in ("p50", "p99", "max")} | {
            "receive_queue_count": self.delays.count,
            "receive_queue_connections": self.connections,
            "receive_queue_error_ms": self.error_ns / NS_PER_MS if self.delays.count else None,
            "receive_queue_discarded": self.discarded,
        }
