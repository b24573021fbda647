"""Cut parts of the stack off from the broker, or the broker off from everybody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from loadtest.faults.part import PartFault
from loadtest.profile import part_faults as profile


@dataclass(frozen=True)
class PartitionFault(PartFault):
    """Partition: every way that has the part at one end is cut, by relays that the stack was started with."""

    settings: profile.PartitionFault

    def keys(self) -> Mapping[str, object]:
        return {"how": self.settings.how}
