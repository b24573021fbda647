"""Make the way between clients and gateways narrow."""

from __future__ import annotations

from dataclasses import dataclass

from loadtest.faults.network import NetworkFault
from loadtest.profile import faults as profile


@dataclass(frozen=True)
class NetworkBandwidthFault(NetworkFault):
    """Bandwidth: `bytes_per_s` for each connection and direction; who sends more finds the pipe full."""

    settings: profile.NetworkBandwidthFault

    @property
    def impairment(self) -> dict[str, object]:
        """See `NetworkFault.impairment`."""
        return {"direction": self.settings.direction, "bytes_per_s": self.settings.bytes_per_s}
