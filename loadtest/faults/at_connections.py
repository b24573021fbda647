"""What the lasting faults at live connections share: begun at all workers together, relieved, and told what came of it.

apply --afflict--> herds: so many hit        none: it did not happen
undo  --relieve--> herds: what came of it --> the event of run.json
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from loadtest.faults.fault import Fault, FaultContext, FaultFailedError


class FaultAtConnections(Fault):
    """A lasting fault at some of the population's own connections, or at extra ones."""

    settings: Any

    @property
    @abstractmethod
    def order(self) -> dict[str, object]:
        """What the herds are told, beside the kind (`herd.afflicting`)."""

    def apply(self, context: FaultContext) -> None:
        name, kind = self.settings.name, self.settings.kind
        hit = context.afflict(name, {"kind": kind, **self.order})
        if not hit:
            raise FaultFailedError(f"fault {name}: there was no live connection to strike")
        context.log(f"{name}: {kind} at {hit:,} connections")

    def undo(self, context: FaultContext) -> None:
        facts = context.relieve(self.settings.name)
        if facts:
            context.report(self.settings.name, facts)
            context.log(f"{self.settings.name}: " + ", ".join(f"{key} {value:,}" for key, value in facts.items()))
