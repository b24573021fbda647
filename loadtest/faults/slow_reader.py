"""Let clients read slower than they are written to: the server must bound what it keeps for them."""

from __future__ import annotations

from dataclasses import dataclass

from loadtest.faults.at_connections import FaultAtConnections
from loadtest.profile import faults as profile


@dataclass(frozen=True)
class SlowReaderFault(FaultAtConnections):
    """Slow reader: some clients read `bytes_per_s` each, from a receive buffer of a few kilobytes.

    They stay in the books: what they read late is late. The event tells how many were cut off for it, and when.
    """

    settings: profile.SlowReaderFault

    @property
    def order(self) -> dict[str, object]:
        """See `FaultAtConnections.order`."""
        return {**self.settings.aim, "bytes_per_s": self.settings.bytes_per_s}
