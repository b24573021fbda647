"""Freeze parts of the stack: SIGSTOP, and SIGCONT at the end."""

from __future__ import annotations

from dataclasses import dataclass

from loadtest.faults.part import PartFault
from loadtest.profile import part_faults as profile


@dataclass(frozen=True)
class FreezeFault(PartFault):
    """Freeze: the kernel keeps the sockets and accepts connections, but nobody answers on them."""

    settings: profile.FreezeFault
