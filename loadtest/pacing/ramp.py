"""When connects are due: a linear ramp over the whole population, cut into shares for workers.

    client i connects at i / rate                 worker w of W holds some of the clients: its connects keep their times

The schedule is the population's, so W workers together make the same ramp as one, without talking to each other.
"""

from __future__ import annotations

from dataclasses import dataclass

from loadtest.pacing.arrivals import Constant


@dataclass(frozen=True, slots=True)
class Ramp:
    """A linear ramp.

    Attributes:
        connections: clients in the population.
        rate_per_s: connects per second, all workers together; above 0.
    """

    connections: int
    rate_per_s: float

    def __post_init__(self) -> None:
        if not (self.connections >= 0 and 0 < self.rate_per_s < float("inf")):
            raise ValueError(f"a ramp needs a rate above 0, not {self.rate_per_s}/s for {self.connections} connections")

    @property
    def duration_s(self) -> float:
        """Return the seconds from the first connect to the end of the last one's slot."""
        return self.connections / self.rate_per_s

    def time_of(self, index: int) -> float:
        """Return when client `index` (global, from 0) connects, in seconds since the start of the ramp."""
        return index / self.rate_per_s

    def due(self, elapsed_s: float, done: int) -> int:
        """Return how many more clients should have started to connect by `elapsed_s`; late ones included."""
        scheduled = Constant(self.rate_per_s).due(elapsed_s, 0)
        return max(0, min(self.connections, scheduled) - done)
