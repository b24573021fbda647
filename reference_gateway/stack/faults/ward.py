"""The faults that are in place in a stack: which part can have which, who put them there, and their end.

    strike(name, order) --parts that match, and can have it--> Fault.apply each --> in place under `name`
    heal(name), heal_all ------------------------------------> Fault.undo each  --> forgotten

Laws: no two faults hold the same of one part. A fault of several parts is in place in all of them or in none. Whatever
was begun under a name, `heal` of that name takes back, in the order of calls; of an unknown name there is nothing to
take back. At the end of the stack everything is, except that nobody is started again who is away.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from reference_gateway.errors import FaultError, SettingError
from reference_gateway.stack.faults.broker import Failover, Partition, ReplicaLag
from reference_gateway.stack.faults.database import Database
from reference_gateway.stack.faults.fault import Fault
from reference_gateway.stack.faults.link import Link
from reference_gateway.stack.faults.order import FaultOrder
from reference_gateway.stack.faults.process import Freeze, Kill, Slow
from reference_gateway.stack.part import Part
from reference_gateway.stack.supervisor import Supervisor
from reference_gateway.storage.trouble import Trouble

STORAGE: Final = "storage"
_OF_PROCESS: Final = ("kill", "down", "freeze", "slow")
_OF_DATABASE: Final = ("database-slow", "database-down")

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _InPlace:
    order: FaultOrder
    faults: dict[str, Fault] = field(default_factory=dict)  # by part


class Ward:
    """The faults of one stack.

    Args:
        parts: those that have a process of ours.
        links: ways to the broker that can be cut; none unless the stack was started with them.
        trouble_file: where users of the database look for its trouble.
    """

    def __init__(
        self, supervisor: Supervisor, parts: Sequence[Part], links: Sequence[Link], trouble_file: Path
    ) -> None:
        self._supervisor = supervisor
        self._parts = {part.name: part for part in parts}
        self._links = links
        self._trouble_file = trouble_file
        self._in_place: dict[str, _InPlace] = {}
        self._turn = asyncio.Lock()

    @property
    def offers(self) -> Mapping[str, Sequence[str]]:
        """The kinds of faults that each part can have."""
        servers = [part.name for part in self._parts.values() if part.kind == "broker"]
        linked = {end for link in self._links for end in link.ends}
        offers: dict[str, list[str]] = {name: list(_OF_PROCESS) for name in self._parts}
        for name in linked & set(offers):
            offers[name].append("partition")
        if len(servers) > 1:
            offers[servers[0]].append("failover")
        for link in self._links:
            if link.consumer in servers and "replica-lag" not in offers[link.consumer]:
                offers[link.consumer].append("replica-lag")
        return {**offers, STORAGE: list(_OF_DATABASE)}

    def describe(self) -> list[dict[str, object]]:
        """Return what is in place, for the status."""
        return [
            {"name": name, "kind": one.order.kind, "parts": sorted(one.faults)} for name, one in self._in_place.items()
        ]

    async def strike(self, name: str, order: FaultOrder) -> list[str]:
        """Put a fault in place under `name`; return the parts that have it.

        Raises:
            SettingError: no part of this stack can have it.
            FaultError: the name is taken, a part has another fault of the sort, or it could not be applied.
        """
        names = self._match(order)
        async with self._turn:
            self._check_room(name, names, order)
            in_place = self._in_place[name] = _InPlace(order)
            try:
                for part in names:
                    in_place.faults[part] = fault = self._make(part, order)
                    await fault.apply()
            except BaseException:
                await self._heal(name)
                raise
            if not order.lasts:
                del self._in_place[name]
        log.warning("fault %s: %s of %s", name, order.kind, ", ".join(names))
        return names

    async def heal(self, name: str) -> bool:
        """Take back what was begun under `name`; return whether there was anything.

        Raises:
            FaultError: a part of it is still in place.
        """
        async with self._turn:
            return await self._heal(name)

    async def heal_all(self) -> None:
        """Take everything back before the stack ends, the last one first, whatever fails; who is away stays away."""
        for name in list(self._in_place)[::-1]:
            if self._in_place[name].order.kind == "down":
                continue
            try:
                await self.heal(name)
            except FaultError as error:
                log.warning("fault %s: %s", name, error)

    async def _heal(self, name: str) -> bool:
        in_place = self._in_place.get(name)
        if in_place is None:
            return False
        failures: list[str] = []
        for part, fault in reversed(list(in_place.faults.items())):
            try:
                await fault.undo()
                del in_place.faults[part]
            except FaultError as error:
                failures.append(str(error))
        if failures:
            raise FaultError("; ".join(failures))
        del self._in_place[name]
        log.warning("fault %s is taken back", name)
        return True

    def _match(self, order: FaultOrder) -> list[str]:
        offers = self.offers
        named = [name for name in offers if fnmatchcase(name, order.part)]
        able = [name for name in named if order.kind in offers[name]]
        if named and not able:
            raise SettingError(f"{order.part} cannot have {order.kind}: it has {', '.join(offers[named[0]])}")
        if not able:
            raise SettingError(f"this stack has no part {order.part!r}: it has {', '.join(offers)}")
        return able

    def _check_room(self, name: str, parts: Sequence[str], order: FaultOrder) -> None:
        if name in self._in_place:
            raise FaultError(f"a fault called {name} is in place already")
        for other, one in self._in_place.items():
            shared = sorted(set(parts) & set(one.faults))
            if shared and one.order.holds == order.holds:
                raise FaultError(f"{', '.join(shared)}: {other} ({one.order.kind}) is in place there")

    def _make(self, name: str, order: FaultOrder) -> Fault:
        if name == STORAGE:
            return Database(self._trouble_file, Trouble(order.delay_s, down=order.kind == "database-down"))
        part, mine = self._parts[name], [link for link in self._links if name in link.ends]
        if order.kind in ("kill", "down"):
            return Kill(self._supervisor, part, stay_away=order.kind == "down")
        if order.kind == "freeze":
            return Freeze(part)
        if order.kind == "slow":
            return Slow(part, order.share)
        if order.kind == "partition":
            return Partition(mine, order.how)
        if order.kind == "replica-lag":
            return ReplicaLag([link for link in mine if link.consumer == name], order.delay_s)
        return Failover([one for one in self._parts.values() if one.kind == "broker"])
