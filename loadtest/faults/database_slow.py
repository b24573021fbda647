"""Let each statement of the database take longer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from loadtest.faults.part import PartFault
from loadtest.profile import part_faults as profile


@dataclass(frozen=True)
class DatabaseSlowFault(PartFault):
    """Slow database: the delay passes while the statement holds its connection and its locks."""

    settings: profile.DatabaseSlowFault

    def keys(self) -> Mapping[str, object]:
        return {"delay_s": self.settings.delay_s}
