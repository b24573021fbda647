"""A herd's side of the faults that do something to its connections: who is chosen, who is afflicted, who is let go.

    afflict(id, order) --seeded choice of live slots--> Affliction --tick--> ... --relieve--> facts

    | kind        | at               | see            |
    | drop        | live connections | `Herd.drop`    |  done at once, nothing to relieve
    | blackhole   | live connections | `ghosts`       |
    | half-open   | live connections | `ghosts`       |
    | slow-reader | live connections | `slow_reading` |
    | mute        | extra sockets    | `strangers`    |
    | slowloris   | extra sockets    | `strangers`    |

Law: the choice follows from the seed, the fault's name and the worker, never from what happened before.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from loadtest.errors import UsageError
from loadtest.herd.affliction import Affliction
from loadtest.herd.ghosts import Ghosts
from loadtest.herd.slow_reading import SlowReading
from loadtest.herd.strangers import Strangers

if TYPE_CHECKING:
    from loadtest.herd.herd import Herd

STRANGERS = ("mute", "slowloris")


class Afflicting:
    """The afflictions of one herd, by the id of their fault."""

    def __init__(self, herd: Herd) -> None:
        self._herd = herd
        self._present: dict[str, Affliction] = {}

    def afflict(self, fault: str, order: Mapping[str, Any], now_ns: int) -> int:
        """Begin; return to how many connections it happens.

        Args:
            order: `kind`, `seed`, and `count` (of extra sockets, or of connections) or `share` of the live ones; beside
                that `reset` (drop), `bytes_per_s` (slow-reader), or what `Strangers` want.

        Raises:
            UsageError: a kind that is not known here, or not possible with this target.
        """
        kind, seed = order["kind"], order["seed"]
        if kind in STRANGERS:
            if self._herd._opening.gateway(0) is None:
                raise UsageError(f"fault {fault}: {kind} needs target.url: a bootstrap names gateways to clients only")
            strangers = Strangers(self._herd, order, now_ns)
            self._present[fault] = strangers
            return strangers.hit
        slots = self._choose(order.get("count"), order.get("share", 1.0), seed)
        if kind == "drop":
            return self._herd.drop(slots, reset=order["reset"])
        if slots and not self._herd._wires.is_open(slots[0]):
            raise UsageError(f"fault {fault}: {kind} needs sockets of our own, which clients of a library have not")
        affliction: Ghosts | SlowReading
        if kind in ("blackhole", "half-open"):
            affliction = Ghosts(self._herd, kind, slots, now_ns)
        elif kind == "slow-reader":
            affliction = SlowReading(self._herd, slots, order["bytes_per_s"], now_ns)
        else:
            raise UsageError(f"fault {fault}: this worker knows no {kind}")
        self._present[fault] = affliction
        return affliction.hit

    def _choose(self, count: int | None, share: float, seed: str) -> list[int]:
        live = [slot for slot in self._herd.slots.live() if slot not in self._herd._wires.sipping]
        wanted = round(len(live) * share) if count is None else min(count, len(live))
        return sorted(random.Random(seed).sample(live, wanted))

    def tick(self, now_ns: int) -> None:
        """Let every affliction do what is due."""
        for affliction in self._present.values():
            affliction.tick(now_ns)

    def forget(self, slot: int) -> None:
        """The slot has left for good."""
        for affliction in self._present.values():
            affliction.forget(slot)

    def relieve(self, fault: str, now_ns: int) -> bool:
        """Let go of a fault's connections; return whether all is known of it, or ask again a little later."""
        affliction = self._present.get(fault)
        if affliction is None:
            return True
        affliction.relieve(now_ns)
        return affliction.settled

    def take(self, fault: str) -> dict[str, float]:
        """Return what came of a relieved fault, and forget it; {} where there was none."""
        affliction = self._present.pop(fault, None)
        return {} if affliction is None else affliction.facts()
