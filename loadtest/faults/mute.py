"""Open extra sockets that never speak: the server must bound its patience."""

from __future__ import annotations

from dataclasses import dataclass

from loadtest.faults.at_connections import FaultAtConnections
from loadtest.profile import faults as profile


@dataclass(frozen=True)
class MuteFault(FaultAtConnections):
    """Mute: `number` sockets beside the population, in nobody's books, silent once connected, or once upgraded.

    The event tells how many stood (`opened`) or were `refused`, how many the server `closed`, and after how long.
    """

    settings: profile.MuteFault

    @property
    def order(self) -> dict[str, object]:
        """See `FaultAtConnections.order`."""
        says = "upgrade" if self.settings.after == "upgrade" else "nothing"
        said = {"says": says, "byte_every_ns": 0}
        return {"number": self.settings.number, "open_per_s": self.settings.open_per_s, **said}
