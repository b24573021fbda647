"""The table of a herd: one row per connection, one array per column; no object per connection.

Law: `set` is the only way a state changes, so `population` always counts the rows in each state. Times are ns of the
herd's clock; 0 means never.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable

from loadtest.herd.states import IDLE, LIVE, WAITING


class Slots:
    """Columns by slot number.

    Attributes:
        index: client number in the population. attempt: failed attempts since the last session.
        pending: subscriptions not yet acknowledged. awaits_canary: no message received yet in this session,
        though one is due.
        planned: when the next attempt is due. begun: when the attempt (later: the subscribing) began.
        live_since: when the session was last whole.
    """

    __slots__ = (
        "attempt",
        "awaits_canary",
        "begun",
        "index",
        "live_since",
        "pending",
        "planned",
        "population",
        "state",
    )

    def __init__(self) -> None:
        self.state = bytearray()
        self.pending = bytearray()
        self.awaits_canary = bytearray()
        self.attempt = array("H")
        self.index = array("q")
        self.planned = array("q")
        self.begun = array("q")
        self.live_since = array("q")
        self.population = [0] * (LIVE + 1)

    def __len__(self) -> int:
        return len(self.state)

    def add(self, indexes: Iterable[int]) -> range:
        """Append an idle row for each client index; return their numbers."""
        first = len(self.state)
        self.index.extend(indexes)
        more = len(self.index) - first
        for flags in (self.state, self.pending, self.awaits_canary):
            flags.extend(bytes(more))
        self.attempt.extend([0] * more)
        for times in (self.planned, self.begun, self.live_since):
            times.extend([0] * more)
        self.population[IDLE] += more
        return range(first, first + more)

    def set(self, slot: int, state: int) -> None:
        """Move a row to another state."""
        self.population[self.state[slot]] -= 1
        self.population[state] += 1
        self.state[slot] = state

    @property
    def in_flight(self) -> int:
        """Rows whose attempt is under way."""
        return len(self.state) - self.population[IDLE] - self.population[WAITING] - self.population[LIVE]

    def live(self) -> list[int]:
        """Return the rows in session."""
        return [slot for slot, state in enumerate(self.state) if state == LIVE]
