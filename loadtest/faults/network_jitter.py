"""Make the way between clients and gateways uneven."""

from __future__ import annotations

from dataclasses import dataclass

from loadtest.faults.network import NetworkFault
from loadtest.profile import faults as profile


@dataclass(frozen=True)
class NetworkJitterFault(NetworkFault):
    """Jitter: what comes together waits for up to `jitter`, seeded per connection; a stream stays in order."""

    settings: profile.NetworkJitterFault

    @property
    def impairment(self) -> dict[str, object]:
        """See `NetworkFault.impairment`."""
        return {"direction": self.settings.direction, "delay_s": self.settings.jitter_s}
