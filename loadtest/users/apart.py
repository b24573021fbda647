"""A herd whose descriptors lie in a table of their own, apart from those of the process and of other herds.

Law: whatever may touch a descriptor runs in the table; all else of a herd is memory, which is everybody's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from loadtest.herd.afflicting import Afflicting
from loadtest.herd.herd import Herd
from loadtest.herd.poller import Poller
from loadtest.users.descriptor_table import DescriptorTable


class HerdApart(Herd):
    """Hold connections in a descriptor table of its own; the number of its poller means the same in the process's."""

    def __init__(self, *, poller: Poller, **others: Any) -> None:
        super().__init__(poller=poller, **others)
        self.table = DescriptorTable({poller.fileno()})
        self.thread = self.table.thread
        self.afflicting = AfflictingApart(self)

    def turn(self) -> int:
        return self.table.run(super().turn)

    def tick(self) -> bool:
        return self.table.run(super().tick)

    def release(self, slots: Iterable[int]) -> None:
        self.table.run(partial(super().release, slots))

    def send(self, slot: int, frames: bytes) -> bool:
        return self.table.run(partial(super().send, slot, frames))

    def close(self) -> None:
        super().close()
        self.table.close()


class AfflictingApart(Afflicting):
    """The afflictions of a herd apart."""

    def __init__(self, herd: HerdApart) -> None:
        super().__init__(herd)
        self._table = herd.table

    def afflict(self, fault: str, order: Mapping[str, Any], now_ns: int) -> int:
        return self._table.run(partial(super().afflict, fault, order, now_ns))

    def relieve(self, fault: str, now_ns: int) -> bool:
        return self._table.run(partial(super().relieve, fault, now_ns))
