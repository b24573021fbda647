"""What messages waited for the harness itself: from the kernel's stamp of their arrival to the read that took them.

    herd.queue_delay --take--> ReceiveQueue --to_wire, read--> QueuePart --> QueueTotal, on the master

Law: these are reads of a sample of connections, not messages. A read is entered once, with the delay of the newest
message in it: exact where every message is read by itself, as in a burst of one message to everybody, and a lower bound
where several pile up on one connection (`herd.queue_delay` says why the kernel cannot tell more).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from loadtest.metrics.histogram import Histogram


@dataclass(slots=True)
class ReceiveQueue:
    """Receive-queue delays of one interval, on one worker.

    Attributes:
        delays: of every read on a sampled connection. connections: how many are sampled.
        error_ns: how far each delay may be off, from the two clocks. discarded: reads between which the wall clock was
        set, whose delays nobody knows.
    """

    delays: Histogram = field(default_factory=Histogram)
    connections: int = 0
    error_ns: int = 0
    discarded: int = 0

    def to_wire(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "delays": self.delays.to_wire(),
            "connections": self.connections,
            "error_ns": self.error_ns,
            "discarded": self.discarded,
        }

    def join(self, other: ReceiveQueue) -> None:
        """Merge what another herd of this worker measured: its sample is of different connections."""
        self.delays.add(other.delays)
        self.connections += other.connections
        self.error_ns = max(self.error_ns, other.error_ns)
        self.discarded += other.discarded
