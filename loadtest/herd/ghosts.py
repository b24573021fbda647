"""Connections whose client has fallen silent without a word, while the server still believes in it.

    live slot --surrender--> ghost (descriptor, not read, not written)     slot: dropped, with reason fault_<kind>
       blackhole:  the client sleeps and does not come back before it is relieved; its kernel goes on acknowledging
       half-open:  the client's machine is gone: nothing is acknowledged any more; a new machine comes back at once

Laws: for the books the client is dropped the moment it falls silent, whatever the server believes. A ghost is closed
when the affliction is relieved, by a reset; until then the server can find out only by its own ping, or by TCP's
patience. Nothing here needs privileges: a half-open ghost has a socket filter that lets nothing in (SO_ATTACH_FILTER,
classic BPF, `return 0`: socket(7)), so not even its kernel answers.

`noticed`: the server has closed a ghost, by its own account of time. Of half-open ones the kernel cannot know before
the filter is gone: they are asked at the end by a WebSocket ping, which a server that has given up answers by a reset.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from loadtest.clock import NS_PER_S
from loadtest.herd import sockets
from loadtest.herd.affliction import LOOK_NS, Delays
from loadtest.herd.states import IDLE

if TYPE_CHECKING:
    from loadtest.herd.herd import Herd

_PING = b"\x89\x80\x00\x00\x00\x00"


class Ghosts:
    """One fault's ghosts of one herd.

    Args:
        kind: "blackhole" or "half-open".
    """

    def __init__(self, herd: Herd, kind: str, slots: Iterable[int], now_ns: int) -> None:
        self._herd = herd
        self._vanished = kind == "half-open"
        self._began_ns = now_ns
        self._next_ns = now_ns + LOOK_NS
        self._noticed = Delays()
        self._known_at_end = 0
        self._asleep: list[int] = []
        self._ghosts: list[int] = []
        self._relieved = False
        for slot in slots:
            fd = herd._wires.surrender(slot)
            if self._vanished:
                sockets.deafen(fd)
            herd.lose(slot, f"fault_{kind.replace('-', '_')}")
            if not self._vanished:
                herd.put_to_rest(slot)
                self._asleep.append(slot)
            self._ghosts.append(fd)
        self.hit = len(self._ghosts)

    def tick(self, now_ns: int) -> None:
        """See `Affliction.tick`."""
        if now_ns < self._next_ns:
            return
        self._next_ns = now_ns + LOOK_NS
        if self._relieved:
            self._part()
        elif not self._vanished:
            left = []
            for fd in self._ghosts:
                if sockets.is_ended(fd):
                    self._noticed.enter((now_ns - self._began_ns) / NS_PER_S)
                    sockets.close(fd)
                else:
                    left.append(fd)
            self._ghosts = left

    def forget(self, slot: int) -> None:
        """See `Affliction.forget`."""
        if slot in self._asleep:
            self._asleep.remove(slot)

    def relieve(self, now_ns: int) -> None:
        """See `Affliction.relieve`: who slept wakes, finds its connection dead, and comes back as after any drop."""
        if self._relieved:
            return
        self.tick(self._next_ns)
        self._relieved = True
        asleep, self._asleep = self._asleep, []
        for slot in asleep:
            if self._herd.slots.state[slot] == IDLE:
                self._herd.slots.attempt[slot] = 0
                self._herd.plan_return(slot, now_ns)
        if not self._vanished:
            self._part()
            return
        self._next_ns = now_ns + LOOK_NS
        for fd in self._ghosts:
            sockets.undeafen(fd)
            sockets.write(fd, _PING)

    def _part(self) -> None:
        for fd in self._ghosts:
            self._known_at_end += self._vanished and sockets.is_ended(fd)
            sockets.close(fd, reset=True)
        self._ghosts = []

    @property
    def settled(self) -> bool:
        """See `Affliction.settled`."""
        return self._relieved and not self._ghosts

    def facts(self) -> dict[str, float]:
        """See `Affliction.facts`; times of `noticed` count from when the client fell silent."""
        if self._vanished:
            return {"connections": self.hit, "noticed": self._known_at_end}
        return {"connections": self.hit} | self._noticed.facts("noticed")
