"""Close the harness's own sockets, for a target on which nothing else can be done."""

from __future__ import annotations

from dataclasses import dataclass

from loadtest.faults.fault import Fault, FaultContext
from loadtest.profile import faults as profile


@dataclass(frozen=True)
class DropFault(Fault):
    """Drop: the herds close a share of their connections at one moment, by a WebSocket close or a TCP reset."""

    settings: profile.DropFault

    def apply(self, context: FaultContext) -> None:
        share, how = self.settings.share, self.settings.how
        context.drop(share, how)
        context.log(f"{self.settings.name}: {share:.4g} of the connections dropped by {how}")
