"""What every fault of a profile has: a name, a moment, and, if it outlives its beginning, an end.

A kind says what it `holds` while it is in place: two faults that hold the same thing at the same time exclude each
other, for the end of one would be the end of both, and nobody could say which of them was measured.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, model_validator

from loadtest.profile.quantities import Seconds
from loadtest.profile.section import Section


class FaultBase(Section):
    """What every fault has: a name and a moment (`at` or `after_steady`; neither: as soon as steady)."""

    lasts: ClassVar[bool] = False
    """Whether it stays in place once applied, until it is taken back."""

    needs_stack: ClassVar[bool] = False
    """Whether only a stack that loadtest starts can have it."""
    needs_links: ClassVar[bool] = False
    """Whether that stack has to be started with relays before its broker."""

    name: str = Field(
        default="", pattern=r"^[a-z][a-z0-9_-]{0,63}$", description="Name in reports and thresholds. Default: the kind."
    )
    at_s: Seconds | None = Field(
        default=None, alias="at", le=31_536_000, description="Time since the start of the run."
    )
    after_steady_s: Seconds | None = Field(
        default=None, alias="after_steady", le=31_536_000, description="Time since the start of the hold phase."
    )

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, given: Any) -> Any:
        """Name a fault after its kind and let it happen when steady, unless the file says otherwise."""
        if not isinstance(given, dict):
            return given
        kind = given.get("kind")
        filled = {"name": kind, **given} if isinstance(kind, str) else dict(given)
        if "at" not in given and "after_steady" not in given:
            filled["after_steady"] = 0
        return filled

    @property
    def lasts_s(self) -> float | None:
        """Return how long it stays in place: 0 for a moment's work, None to the end of the run."""
        return 0.0

    @property
    def holds(self) -> frozenset[str]:
        """Return what no other fault may hold as long as this one is in place, such as "part gateway-1"."""
        return frozenset()


class LastingFault(FaultBase):
    """A fault that stays in place for `duration`, or to the end of the run, and is then taken back."""

    lasts: ClassVar[bool] = True

    duration_s: Seconds | None = Field(
        default=None,
        alias="duration",
        gt=0,
        le=31_536_000,
        description="Taken back after this time, from when it is in place. Default: at the end of the run.",
    )

    @property
    def lasts_s(self) -> float | None:
        """See `FaultBase.lasts_s`."""
        return self.duration_s

    @property
    def holds(self) -> frozenset[str]:
        """See `FaultBase.holds`: one of a kind at a time."""
        kind: str = getattr(self, "kind", "")
        return frozenset({kind})
