"""Let parts of the stack run for a share of the time only, as under a CPU quota."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from loadtest.faults.part import PartFault
from loadtest.profile import part_faults as profile


@dataclass(frozen=True)
class SlowFault(PartFault):
    """Slow: the process is stopped for the rest of each 100 ms."""

    settings: profile.SlowFault

    def keys(self) -> Mapping[str, object]:
        return {"share": self.settings.share}
