"""The work of admitting clients, made as scarce as a profile wants it: c full connects per second, k stages each.

    enter --> [stage 1 .. k: each service goes to one of those in hand, drawn at random] --> done
                         leave: whoever gave up; what was done for him is lost

Law: k * c stages are served per second while anybody is in hand, and none is saved up for later. Connections that are
held take their share first: `held_cost` of a connect each per second. This is a limit we impose, so that a small
machine has the capacity of a big one scaled down; random order because in a big service who is served next is luck.

Source: the storm model of the harness (a client out of d*N has k/(S d) services on the mean before it gives up); it is
our assumption, and any order that serves the oldest first would recover differently.
"""

from __future__ import annotations

from collections.abc import Hashable
from random import Random
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Workshop(Generic[T]):
    """Serve whoever is in hand; time is an argument.

    Args:
        capacity_per_s: full connects per second, above 0.
        stages: services that one connect takes, at least 1.
        held_cost_per_s: what a connection that is held takes of the capacity, in connects per second.
        rng: who is next.
    """

    def __init__(self, capacity_per_s: float, stages: int, held_cost_per_s: float, rng: Random) -> None:
        self._capacity_per_s = capacity_per_s
        self._stages = stages
        self._held_cost_per_s = held_cost_per_s
        self._rng = rng
        self._credit = 0.0
        self._order: list[T] = []
        self._place: dict[T, int] = {}
        self._done: list[int] = []

    def __len__(self) -> int:
        """Clients in hand."""
        return len(self._order)

    def enter(self, client: T) -> None:
        """Take a client in hand, at its first stage."""
        self._place[client] = len(self._order)
        self._order.append(client)
        self._done.append(0)

    def leave(self, client: T) -> None:
        """Forget a client that gave up, or was served; harmless for others."""
        place = self._place.pop(client, None)
        if place is None:
            return
        last, done = self._order.pop(), self._done.pop()
        if last != client:
            self._order[place], self._done[place] = last, done
            self._place[last] = place

    def work(self, elapsed_s: float, held: int) -> list[T]:
        """Do the work of `elapsed_s` seconds beside `held` connections; return who is done, no longer in hand.

        Cost: 0.5 us per stage.
        """
        capacity_per_s = max(0.0, self._capacity_per_s - held * self._held_cost_per_s)
        self._credit += self._stages * capacity_per_s * elapsed_s
        finished: list[T] = []
        while self._credit >= 1.0 and self._order:
            self._credit -= 1.0
            place = int(self._rng.random() * len(self._order))
            self._done[place] += 1
            if self._done[place] >= self._stages:
                finished.append(self._order[place])
                self.leave(self._order[place])
        if not self._order:
            self._credit = min(self._credit, 1.0)
        return finished
