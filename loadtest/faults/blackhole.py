"""Let clients fall silent with their sockets open: the server must find out by its own ping."""

from __future__ import annotations

from dataclasses import dataclass

from loadtest.faults.at_connections import FaultAtConnections
from loadtest.profile import faults as profile


@dataclass(frozen=True)
class BlackholeFault(FaultAtConnections):
    """Blackhole: some clients stop reading and writing and never close; their kernels go on acknowledging.

    For the books they are dropped at that moment (reason `fault_blackhole`). They come back, by their reconnect policy,
    when the fault is taken back. The event tells how many the server had closed by then (`noticed`) and how long after.
    """

    settings: profile.BlackholeFault

    @property
    def order(self) -> dict[str, object]:
        """See `FaultAtConnections.order`."""
        return dict(self.settings.aim)
