"""Kill parts of the stack as a crash would, by `kill -9`; its supervisor starts them again."""

from __future__ import annotations

from dataclasses import dataclass

from loadtest.faults.part import PartFault
from loadtest.profile import part_faults as profile


@dataclass(frozen=True)
class KillFault(PartFault):
    """Kill: sockets are closed by the kernel, what the process had in memory is gone."""

    settings: profile.KillFault
