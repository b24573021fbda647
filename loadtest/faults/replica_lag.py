"""Let the broker's replica hear late what the primary was told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from loadtest.faults.part import PartFault
from loadtest.profile import part_faults as profile


@dataclass(frozen=True)
class ReplicaLagFault(PartFault):
    """Replica lag: a relay holds back what goes from the primary to the replica."""

    settings: profile.ReplicaLagFault

    def keys(self) -> Mapping[str, object]:
        return {"delay_s": self.settings.delay_s}
