"""Make the way between clients and gateways longer."""

from __future__ import annotations

from dataclasses import dataclass

from loadtest.faults.network import NetworkFault
from loadtest.profile import faults as profile


@dataclass(frozen=True)
class NetworkDelayFault(NetworkFault):
    """Delay: every byte waits for `delay` in the relay. TCP's own handshake is not delayed: the relay answers it."""

    settings: profile.NetworkDelayFault

    @property
    def impairment(self) -> dict[str, object]:
        """See `NetworkFault.impairment`."""
        return {"direction": self.settings.direction, "delay_s": self.settings.delay_s}
