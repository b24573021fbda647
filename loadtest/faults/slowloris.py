"""Open extra sockets that send their handshake byte by byte: the server must bound its patience."""

from __future__ import annotations

from dataclasses import dataclass

from loadtest.clock import NS_PER_S
from loadtest.faults.at_connections import FaultAtConnections
from loadtest.profile import faults as profile


@dataclass(frozen=True)
class SlowlorisFault(FaultAtConnections):
    """Slowloris: `number` sockets beside the population, in nobody's books, a byte every `byte_every`, without end.

    To a wss:// target it is the TLS ClientHello that comes so slowly. The event tells how many stood (`opened`), how
    many were `refused`, how many the server `closed`, and after how long.
    """

    settings: profile.SlowlorisFault

    @property
    def order(self) -> dict[str, object]:
        """See `FaultAtConnections.order`."""
        every_ns = round(self.settings.byte_every_s * NS_PER_S)
        said = {"says": "endless", "byte_every_ns": every_ns}
        return {"number": self.settings.number, "open_per_s": self.settings.open_per_s, **said}
