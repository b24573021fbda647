"""Let clients vanish without a FIN, as when a phone loses its network: the server holds a connection to nobody."""

from __future__ import annotations

from dataclasses import dataclass

from loadtest.faults.at_connections import FaultAtConnections
from loadtest.profile import faults as profile


@dataclass(frozen=True)
class HalfOpenFault(FaultAtConnections):
    """Half-open: the old connections are left to rot; their clients connect anew at once, by their reconnect policy.

    Exactly: a socket filter throws away every segment that arrives at the old socket, so that not even its kernel
    acknowledges (no privilege is needed for that: SO_ATTACH_FILTER), and nothing more is sent from it. It is reset when
    the fault is taken back; the event tells how many the server had given up by then (`noticed`), by a last ping.
    """

    settings: profile.HalfOpenFault

    @property
    def order(self) -> dict[str, object]:
        """See `FaultAtConnections.order`."""
        return dict(self.settings.aim)
