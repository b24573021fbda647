"""Kill parts of the stack and keep them away until the fault is taken back."""

from __future__ import annotations

from dataclasses import dataclass

from loadtest.faults.part import PartFault
from loadtest.profile import part_faults as profile


@dataclass(frozen=True)
class DownFault(PartFault):
    """Down: as `kill`, but nobody starts the part again meanwhile."""

    settings: profile.DownFault
