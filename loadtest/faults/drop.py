"""Close the harness's own sockets, for a target on which nothing else can be done."""

from __future__ import annotations

from dataclasses import dataclass

from loadtest.faults.fault import Fault, FaultContext
from loadtest.profile import faults as profile


@dataclass(frozen=True)
class DropFault(Fault):
    """Drop: the herds close some of their connections at one moment, by a WebSocket close or a TCP reset."""

    settings: profile.DropFault

    def apply(self, context: FaultContext) -> None:
        name, how = self.settings.name, self.settings.how
        hit = context.afflict(name, {"kind": "drop", "reset": how == "reset", **self.settings.aim})
        context.report(name, {"connections": hit})
        context.log(f"{name}: {hit:,} connections dropped by {how}")
