"""When which fault is due: a pure function of elapsed times and of what was given out before.

Law: each fault is given out exactly once, in the order of the moments at which they became due; a look that comes late
gives out everything missed since. Before the run is steady, only faults with a time since the start can be due.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from loadtest.profile import faults as profile


class Slot(NamedTuple):
    """One fault's moment: seconds since the start of the run, or since the hold phase began; both None: 0 s of hold."""

    name: str
    at_s: float | None = None
    after_steady_s: float | None = None

    @classmethod
    def of(cls, fault: profile.Fault) -> Slot:
        """Return the moment that a profile gives to a fault."""
        return cls(fault.name, fault.at_s, fault.after_steady_s)


class Schedule:
    """The faults of one run, given out when due."""

    def __init__(self, slots: Iterable[Slot]) -> None:
        self._pending = list(slots)

    @property
    def pending(self) -> tuple[str, ...]:
        """Names not given out yet, in the order of the profile."""
        return tuple(slot.name for slot in self._pending)

    def due(self, elapsed_s: float, since_steady_s: float | None) -> tuple[str, ...]:
        """Return the names due now, the longest overdue first.

        Args:
            elapsed_s: since the start of the run.
            since_steady_s: since the hold phase began; None before it.
        """
        overdue = {slot: self._overdue_s(slot, elapsed_s, since_steady_s) for slot in self._pending}
        ready = [slot for slot, late_s in overdue.items() if late_s is not None and late_s >= 0]
        self._pending = [slot for slot in self._pending if slot not in ready]
        return tuple(slot.name for slot in sorted(ready, key=lambda slot: -(overdue[slot] or 0.0)))

    @staticmethod
    def _overdue_s(slot: Slot, elapsed_s: float, since_steady_s: float | None) -> float | None:
        if slot.at_s is not None:
            return elapsed_s - slot.at_s
        return None if since_steady_s is None else since_steady_s - (slot.after_steady_s or 0.0)
