"""Exchange the broker's primary and its replica, as for planned maintenance."""

from __future__ import annotations

from dataclasses import dataclass

from loadtest.faults.part import PartFault
from loadtest.profile import part_faults as profile


@dataclass(frozen=True)
class FailoverFault(PartFault):
    """Failover: there is nothing to take back, for both are alike."""

    settings: profile.FailoverFault
