"""The contract of what a fault does to connections for a while, from the client's end.

    herd.afflictions[id] = Affliction --tick (each of the herd's)--> --relieve--> ... settled --> facts

Laws: `relieve` may be called at any time, and again; whoever is afflicted is then free at once, but what is to be
learned of the server may take a moment: `settled`. An affliction ends with its process: it holds nothing but sockets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from loadtest.clock import NS_PER_S

LOOK_NS = NS_PER_S // 4
"""How often an affliction looks after its sockets: the resolution of its times."""


class Affliction(Protocol):
    """Something that lasts, at some connections of one herd."""

    def tick(self, now_ns: int) -> None:
        """Do what is due."""

    def forget(self, slot: int) -> None:
        """The slot has left for good: it is nobody's to bring back."""

    def relieve(self, now_ns: int) -> None:
        """Let go of everybody."""

    @property
    def settled(self) -> bool:
        """Whether, after `relieve`, nothing more will be learned."""

    def facts(self) -> dict[str, float]:
        """Return what came of it: counts by name, and `Delays` under theirs; they merge by `merge_facts`."""


@dataclass(slots=True)
class Delays:
    """How long something took, over many: enough to merge and to say the least, the mean and the most."""

    count: int = 0
    sum_s: float = 0.0
    min_s: float = 0.0
    max_s: float = 0.0

    def enter(self, seconds: float) -> None:
        """Take one."""
        self.min_s = min(self.min_s, seconds) if self.count else seconds
        self.max_s = max(self.max_s, seconds)
        self.count += 1
        self.sum_s += seconds

    def facts(self, name: str) -> dict[str, float]:
        """Return it as facts: {name: count, name_after_sum_s, ..._min_s, ..._max_s}; only the count when it is 0."""
        if not self.count:
            return {name: 0}
        after = {"sum": self.sum_s, "min": self.min_s, "max": self.max_s}
        return {name: self.count} | {f"{name}_after_{of}_s": round(value, 3) for of, value in after.items()}


def merge_facts(all_facts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Return the facts of all herds together: counts and sums add up, the least and the most are the least and most."""
    merged: dict[str, float] = {}
    for facts in all_facts:
        for name, value in facts.items():
            if name not in merged:
                merged[name] = value
            elif name.endswith("_min_s"):
                merged[name] = min(merged[name], value)
            elif name.endswith("_max_s"):
                merged[name] = max(merged[name], value)
            else:
                merged[name] += value
    return merged


def told(facts: Mapping[str, float]) -> dict[str, Any]:
    """Return merged facts as a result shows them: with means instead of sums."""
    shown: dict[str, Any] = {}
    for name, value in facts.items():
        if name.endswith("_after_sum_s"):
            of = name.removesuffix("_after_sum_s")
            shown[f"{of}_after_mean_s"] = round(value / facts[of], 3)
        else:
            shown[name] = value
    return shown
