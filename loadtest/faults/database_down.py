"""Let each statement of the database fail, as if it were gone."""

from __future__ import annotations

from dataclasses import dataclass

from loadtest.faults.part import PartFault
from loadtest.profile import part_faults as profile


@dataclass(frozen=True)
class DatabaseDownFault(PartFault):
    """Database down: edits are refused; sockets and what is fanned out already are not touched."""

    settings: profile.DatabaseDownFault
