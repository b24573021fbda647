"""Faults of the parts of a stack that loadtest starts: its processes, its database, its broker and the ways to it.

Which part can have which, the stack itself says once it is up; what the file can tell, is said before.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from loadtest.profile.fault import FaultBase, LastingFault
from loadtest.profile.quantities import Seconds, Share


class PartFault(FaultBase):
    """A fault of one part, or of all whose names fit."""

    needs_stack: ClassVar[bool] = True
    what: ClassVar[str] = "the process"
    """What of the part it holds."""

    part: str = Field(
        pattern=r"^[A-Za-z0-9*?\[\]-]{1,64}$",
        description="Name of a part of the stack, or a pattern such as `gateway-*`; see `reference-gateway status`.",
        examples=["gateway-1"],
    )

    @property
    def holds(self) -> frozenset[str]:
        """See `FaultBase.holds`."""
        return frozenset({f"{self.what} of {self.part}"})


class LastingPartFault(PartFault, LastingFault):
    """A fault of a part that stays in place."""


class KillFault(PartFault):
    """Kill parts, as a crash would."""

    kind: Literal["kill"] = Field(description="`kill -9`; the stack's supervisor starts it again.")


class DownFault(LastingPartFault):
    """Kill parts, and keep them away."""

    kind: Literal["down"] = Field(description="`kill -9`, and away until the fault is taken back.")


class FreezeFault(LastingPartFault):
    """Freeze parts."""

    kind: Literal["freeze"] = Field(description="SIGSTOP: sockets stay open, nobody answers on them; then SIGCONT.")


class SlowFault(LastingPartFault):
    """Take most of their time from parts."""

    kind: Literal["slow"] = Field(description="The process runs for a share of the time, as under a CPU quota.")
    share: Share = Field(default=0.1, ge=0.01, le=0.99, description="Share of each 100 ms in which it runs.")


class DatabaseFault(LastingPartFault):
    """A fault of the database."""

    what: ClassVar[str] = "the database"
    part: str = Field(default="storage", description="The part that is the database.")


class DatabaseSlowFault(DatabaseFault):
    """Let the database be slow."""

    kind: Literal["database-slow"] = Field(description="Each statement takes longer.")
    delay_s: Seconds = Field(alias="delay", gt=0, le=60, description="Added to each statement.", examples=["50ms"])


class DatabaseDownFault(DatabaseFault):
    """Let the database be gone."""

    kind: Literal["database-down"] = Field(description="Each statement fails.")


class PartitionFault(LastingPartFault):
    """Cut parts off from the broker, or the broker off."""

    needs_links: ClassVar[bool] = True
    what: ClassVar[str] = "the links"
    kind: Literal["partition"] = Field(description="Cut every way between the part and the broker, or its replica.")
    how: Literal["refuse", "silence"] = Field(
        default="refuse", description="Connections reset and refused, or nothing passes and nobody is told."
    )


class ReplicaLagFault(LastingPartFault):
    """Let the broker's replica lag."""

    needs_links: ClassVar[bool] = True
    what: ClassVar[str] = "the links"
    kind: Literal["replica-lag"] = Field(description="What the replica hears of the primary comes late.")
    part: str = Field(default="broker-replica", description="The replica.")
    delay_s: Seconds = Field(alias="delay", gt=0, le=60, description="How late.", examples=["500ms"])


class FailoverFault(PartFault):
    """Exchange the broker's primary and replica."""

    kind: Literal["failover"] = Field(description="The replica becomes the primary, as planned (FAILOVER).")
    part: str = Field(default="broker", description="The broker.")
