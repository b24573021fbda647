"""Receive-queue delays on the master: read from each worker's report, merged over time and over workers.

Law: as of `receive_queue`: reads of a sample of connections, not messages. The sample of one worker counts once,
however long it is watched; those of several are different connections.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from loadtest.clock import NS_PER_MS
from loadtest.metrics.packed import Packed
from loadtest.metrics.tally import Tally
from loadtest.metrics.wire import integer

_MOST = 1 << 53


class QueuePart(NamedTuple):
    """One worker's `ReceiveQueue` of one interval, as it came."""

    delays: Packed
    connections: int
    error_ns: int
    discarded: int

    @classmethod
    def read(cls, wire: object) -> QueuePart:
        """Read what `ReceiveQueue.to_wire` gave.

        Raises:
            ValueError: naming what is wrong.
        """
        if not isinstance(wire, Mapping):
            raise ValueError(f"receive_queue must be an object, not {type(wire).__name__}")
        counts = {name: integer(wire.get(name), name, 0, _MOST) for name in ("connections", "error_ns", "discarded")}
        try:
            delays = Packed.read(wire.get("delays"))
        except ValueError as error:
            raise ValueError(f"receive_queue delays: {error}") from error
        return cls(delays, **counts)


@dataclass(slots=True)
class QueueTotal:
    """Receive-queue delays of some time; the attributes are those of `ReceiveQueue`."""

    delays: Tally = field(default_factory=Tally)
    connections: int = 0
    error_ns: int = 0
    discarded: int = 0

    def join(self, other: QueueTotal) -> None:
        """Merge what others measured in the same time: their samples are different connections."""
        self._merge(other, self.connections + other.connections)

    def follow(self, later: QueuePart) -> None:
        """Merge what the same ones measured later: the sample counts once, where it was largest."""
        self._merge(later, max(self.connections, later.connections))

    def _merge(self, other: QueuePart | QueueTotal, connections: int) -> None:
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
