"""What the faults of the network share: an impairment that every relay puts in place, and takes away again.

apply --place--> relays: so many connections struck          undo --clear--> relays
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from loadtest.faults.fault import Fault, FaultContext, FaultFailedError
from loadtest.relay.control import RelayError


class NetworkFault(Fault):
    """A lasting fault of the network between clients and gateways."""

    settings: Any

    @property
    @abstractmethod
    def impairment(self) -> dict[str, object]:
        """What the relays are told, beside the kind (`relay.conditions.Impairment`)."""

    def check(self, context: FaultContext) -> list[str]:
        if context.relays:
            return []
        name, kind = self.settings.name, self.settings.kind
        return [f"fault {name}: {kind} needs a relay between clients and gateways: a [relay] table in the profile"]

    def apply(self, context: FaultContext) -> None:
        settings = self.settings
        order = {"do": "place", "kind": settings.kind.removeprefix("network-"), "share": settings.share}
        struck = sum(answer["struck"] for answer in self._order(context, {**order, **self.impairment}))
        context.report(settings.name, {"connections": struck})
        context.log(f"{settings.name}: {settings.kind} at {struck:,} connections")

    def undo(self, context: FaultContext) -> None:
        self._order(context, {"do": "clear"})

    def _order(self, context: FaultContext, order: dict[str, object]) -> list[dict[str, Any]]:
        name, seed = self.settings.name, context.profile.seed
        try:
            return [
                relay.order({**order, "name": name, "seed": f"{seed}/{name}/{number}"})
                for number, relay in enumerate(context.relays)
            ]
        except RelayError as error:
            raise FaultFailedError(f"fault {name}: {error}") from error
