"""Let nothing pass between clients and gateways, and lose nothing."""

from __future__ import annotations

from dataclasses import dataclass

from loadtest.faults.network import NetworkFault
from loadtest.profile import faults as profile


@dataclass(frozen=True)
class NetworkStallFault(NetworkFault):
    """Stall: bytes, FIN and RST wait in the relay; all of them pass when it is taken back."""

    settings: profile.NetworkStallFault

    @property
    def impairment(self) -> dict[str, object]:
        """See `NetworkFault.impairment`."""
        return {"direction": self.settings.direction}
