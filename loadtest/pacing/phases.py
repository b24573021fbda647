"""The phases of a run and when each begins: pure arithmetic over two facts, the start and the moment of steadiness.

    0 ---- ramp ---- steady ---- warmup ---- hold ---- drain ---- done
           until everybody        warmup_s    duration_s  drain_s
           is subscribed

Law: `steady_s` is when everybody was subscribed, or when the ramp's time limit passed; None as long as neither is so.
Faults "after steady" count from the start of the hold phase.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    """The phases, in the order they happen."""

    RAMP = "ramp"
    WARMUP = "warmup"
    HOLD = "hold"
    DRAIN = "drain"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Timeline:
    """How long each phase takes, in seconds; the ramp's length is only a limit."""

    ramp_timeout_s: float
    warmup_s: float
    hold_s: float
    drain_s: float

    def phase(self, elapsed_s: float, steady_s: float | None) -> Phase:
        """Return the phase at `elapsed_s` since the start of the run."""
        if steady_s is None or elapsed_s < steady_s:
            return Phase.RAMP
        for phase in (Phase.WARMUP, Phase.HOLD, Phase.DRAIN):
            if elapsed_s < self.ends_s(phase, steady_s):
                return phase
        return Phase.DONE

    def begins_s(self, phase: Phase, steady_s: float) -> float:
        """Return when a phase begins, in seconds since the start of the run."""
        hold_s = steady_s + self.warmup_s
        drain_s = hold_s + self.hold_s
        return {
            Phase.RAMP: 0.0,
            Phase.WARMUP: steady_s,
            Phase.HOLD: hold_s,
            Phase.DRAIN: drain_s,
            Phase.DONE: drain_s + self.drain_s,
        }[phase]

    def ends_s(self, phase: Phase, steady_s: float) -> float:
        """Return when a phase ends: when the next begins. The end of DONE is infinity."""
        order = list(Phase)
        later = order.index(phase) + 1
        return self.begins_s(order[later], steady_s) if later < len(order) else float("inf")

    def ramp_is_over(self, elapsed_s: float) -> bool:
        """Whether the ramp's time limit has passed: from then on the run goes on with whoever is there."""
        return elapsed_s >= self.ramp_timeout_s

    def progress(self, elapsed_s: float, steady_s: float | None) -> float:
        """Return how much of the present phase has passed, 0 to 1; for the ramp, of its time limit."""
        phase = self.phase(elapsed_s, steady_s)
        if phase is Phase.DONE:
            return 1.0
        begin_s = 0.0 if steady_s is None else self.begins_s(phase, steady_s)
        end_s = self.ramp_timeout_s if steady_s is None else self.ends_s(phase, steady_s)
        return min(1.0, max(0.0, (elapsed_s - begin_s) / (end_s - begin_s))) if end_s > begin_s else 1.0
