"""Clients that read slower than the server writes: so many bytes a second, from a receive buffer made small.

    live slot --sips--> a few bytes each tick --> the same listener as ever

Laws: the client stays live and its books stay open: what it reads late is late, what the server gives up is lost. Who
is cut off for its slowness (by the server, or by its own ping watchdog, since pings are read late too) was dropped, and
comes back as a client that reads at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from loadtest.clock import NS_PER_S
from loadtest.herd.affliction import Delays

if TYPE_CHECKING:
    from loadtest.herd.herd import Herd

RECEIVE_BUFFER_BYTES = 4096
"""Asked for; the kernel doubles it. What is on its way already still fits: a window is never taken back."""


class SlowReading:
    """One fault's slow readers of one herd."""

    def __init__(self, herd: Herd, slots: Iterable[int], bytes_per_s: int, now_ns: int) -> None:
        self._herd = herd
        self._wires = herd._wires
        self._bytes_per_s = bytes_per_s
        self._began_ns = self._last_ns = now_ns
        self._allowance = 0.0
        self._read_bytes = 0
        self._cut_off = Delays()
        self._slots = list(slots)
        self.hit = len(self._slots)
        for slot in self._slots:
            self._wires.sip(slot, RECEIVE_BUFFER_BYTES)

    def tick(self, now_ns: int) -> None:
        """See `Affliction.tick`: each reads what it may by now; what nobody used of it is not saved up."""
        self._allowance += self._bytes_per_s * (now_ns - self._last_ns) / NS_PER_S
        self._last_ns = now_ns
        most = int(self._allowance)
        if most < 1:
            return
        self._allowance -= most
        herd, wires, left = self._herd, self._wires, []
        for slot in self._slots:
            if slot in wires.sipping:
                data, end = wires.receive_some(slot, most)
                self._read_bytes += len(data)
                if data:
                    herd._listener.chunk(slot, data, now_ns)
                if end is not None and wires.is_open(slot):
                    herd.lose(slot, end)
            if slot in wires.sipping:
                left.append(slot)
            else:
                self._cut_off.enter((now_ns - self._began_ns) / NS_PER_S)
        self._slots = left

    def forget(self, slot: int) -> None:
        """See `Affliction.forget`."""
        if slot in self._slots:
            self._slots.remove(slot)

    def relieve(self, now_ns: int) -> None:  # noqa: ARG002 - the contract's argument
        """See `Affliction.relieve`."""
        slots, self._slots = self._slots, []
        for slot in slots:
            if slot in self._wires.sipping:
                self._wires.gulp(slot)

    @property
    def settled(self) -> bool:
        """See `Affliction.settled`."""
        return not self._slots

    def facts(self) -> dict[str, float]:
        """See `Affliction.facts`."""
        return {"connections": self.hit, "read_bytes": self._read_bytes} | self._cut_off.facts("cut_off")
