"""Cut the connections between clients and gateways."""

from __future__ import annotations

from dataclasses import dataclass

from loadtest.faults.network import NetworkFault
from loadtest.profile import faults as profile


@dataclass(frozen=True)
class NetworkCutFault(NetworkFault):
    """Cut: both sides get a RST, and so does who connects anew, until it is taken back."""

    settings: profile.NetworkCutFault

    @property
    def impairment(self) -> dict[str, object]:
        """See `NetworkFault.impairment`."""
        return {}
