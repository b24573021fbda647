"""A storm once more, client by client and event by event: an independent programme that the mean field must agree with.

    heap of (time, try | give up | drop) and, while anybody is in hand, services at k c (1 - u held) per second,
    each to one of those in hand, drawn at random

Law: nothing here is shared with `loadtest.model.simulation` but the `Storm` and its policy: no steps, no shares of
clients. Refusals, resumption and heartbeats are not known here.
"""

from __future__ import annotations

from heapq import heappop, heappush
from random import Random

from loadtest.model.storm import Storm

_TRY, _GIVE_UP, _DROP = range(3)


class Crowd:
    """The clients of one storm; `run` once."""

    def __init__(self, storm: Storm, seed: int) -> None:
        self._storm = storm
        self._rng = Random(seed)
        self._events: list[tuple[float, int, int, int, int]] = []
        self._failed = [0] * int(storm.clients)
        self._tries = [0] * int(storm.clients)
        self._done = [0] * int(storm.clients)
        self._in_hand: list[int] = []
        self._place: dict[int, int] = {}
        self._held = self._to_drop = len(self._failed)
        self._entries = self.attempts = 0

    def run(self, share: float) -> float:
        """Return the seconds until `share` of the clients are back."""
        storm, rng, cure = self._storm, self._rng, self._storm.cure
        for client in range(self._held):
            self._enter(client / cure.drain_per_s if cure.drain_per_s else 0.0, _DROP, client)
        now_s = 0.0
        while self._to_drop or self._held < share * storm.clients:
            per_s = storm.stages * storm.capacity_per_s * (1 - storm.steady_share * self._held / storm.clients)
            service_s = now_s + rng.expovariate(per_s) if self._in_hand else float("inf")
            if not self._events or service_s < self._events[0][0]:  # services have no memory: drawn anew each time
                now_s = service_s
                self._serve(self._in_hand[int(rng.random() * len(self._in_hand))])
            else:
                now_s, _, kind, client, attempt = heappop(self._events)
                if kind == _TRY:
                    self._try(now_s, client)
                elif kind == _DROP:
                    self._to_drop -= 1
                    self._held -= 1
                    self._wait(now_s, client, first=True)
                elif client in self._place and self._tries[client] == attempt:
                    self._leave(client)
                    self._failed[client] += 1
                    self._wait(now_s, client)
        return now_s

    def _enter(self, at_s: float, kind: int, client: int) -> None:
        self._entries += 1
        heappush(self._events, (at_s, self._entries, kind, client, self._tries[client]))

    def _wait(self, now_s: float, client: int, *, first: bool = False) -> None:
        spread_s = self._storm.cure.first_spread_s
        if first and spread_s:
            self._enter(now_s + self._rng.random() * spread_s, _TRY, client)
            return
        wait_s = self._storm.policy.wait_s(self._failed[client], self._rng)
        assert wait_s is not None
        self._enter(now_s + wait_s + self._rng.random() * 2 * self._storm.latency_s, _TRY, client)

    def _try(self, now_s: float, client: int) -> None:
        self.attempts += 1
        self._tries[client] += 1
        self._done[client] = 0
        self._place[client] = len(self._in_hand)
        self._in_hand.append(client)
        self._enter(now_s + self._storm.give_up_s, _GIVE_UP, client)

    def _serve(self, client: int) -> None:
        self._done[client] += 1
        if self._done[client] == self._storm.stages:
            self._leave(client)
            self._failed[client] = 0
            self._held += 1

    def _leave(self, client: int) -> None:
        place, last = self._place.pop(client), self._in_hand.pop()
        if last != client:
            self._in_hand[place] = last
            self._place[last] = place
