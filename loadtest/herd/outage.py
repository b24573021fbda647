"""Follow this worker's members of P through one mass disconnect (METRICS.md, "Recovery after a mass disconnect").

    P at t0 --drop--> DOWN --transport--> CONNECTED --all subscribed + canary--> BACK --drop--> DOWN ...

Law: a member moves the two curves once per transition; who was never in P counts only as a secondary drop.
"""

from __future__ import annotations

from loadtest.herd.slots import Slots
from loadtest.herd.states import JOINING, LIVE
from loadtest.metrics.recovery import RecoveryCurve

OUTSIDE, UP, DOWN, CONNECTED, BACK = range(5)


class Outage:
    """One event on one worker: a flag per slot, and the curve that it moves."""

    __slots__ = ("_flags", "curve", "id")

    def __init__(self, event_id: str, t0_ns: int, slots: int) -> None:
        self.id = event_id
        self.curve = RecoveryCurve(t0_ns)
        self._flags = bytearray(slots)

    def grow(self, slots: int) -> None:
        """Make room for `slots` slots in all."""
        self._flags.extend(bytes(slots - len(self._flags)))

    def enter(self, slot: int) -> None:
        """Count `slot` into P: it was subscribed just before t0."""
        self._flags[slot] = UP
        self.curve.add_population(1)

    def attempted(self, at_ns: int) -> None:
        """Count a connect attempt of this worker's population."""
        if at_ns >= self.curve.t0_ns:
            self.curve.attempt(at_ns)

    def dropped(self, slot: int, at_ns: int, *, was_subscribed: bool) -> None:
        """Record that `slot` lost its transport."""
        flag = self._flags[slot]
        if flag == UP:
            self.curve.primary_drop(at_ns)
            self.curve.connected(at_ns, -1)
            self.curve.subscribed(at_ns, -1)
        elif flag == OUTSIDE:
            if was_subscribed:
                self.curve.secondary_drop(at_ns)
            return
        elif flag in (CONNECTED, BACK):
            self.curve.connected(at_ns, -1)
            if flag == BACK:
                self.curve.subscribed(at_ns, -1)
                self.curve.secondary_drop(at_ns)
        self._flags[slot] = DOWN

    def connected(self, slot: int, at_ns: int) -> None:
        """Record that `slot` holds a transport again."""
        if self._flags[slot] == DOWN:
            self._flags[slot] = CONNECTED
            self.curve.connected(at_ns, +1)

    def recovered(self, slot: int, at_ns: int) -> None:
        """Record that `slot` has all its subscriptions and a canary message again."""
        if self._flags[slot] == CONNECTED:
            self._flags[slot] = BACK
            self.curve.subscribed(at_ns, +1)


class Outages:
    """All mass disconnects that are followed at present, over one table of slots."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._followed: list[Outage] = []

    def follow(self, event_id: str, t0_ns: int) -> Outage:
        """Follow a mass disconnect that began at `t0_ns`, now or earlier.

        P is who was subscribed just before t0; what happened since then is made up for from the slots' own times.
        """
        table = self._slots
        outage = Outage(event_id, t0_ns, len(table))
        for slot, state in enumerate(table.state):
            dropped_ns = table.dropped[slot]
            if dropped_ns > t0_ns and table.lost_since[slot] <= t0_ns:
                outage.enter(slot)
                outage.dropped(slot, dropped_ns, was_subscribed=True)
                if state >= JOINING:
                    outage.connected(slot, table.connected[slot])
                if state == LIVE and not table.awaits_canary[slot]:
                    outage.recovered(slot, table.back[slot])
            elif state == LIVE and table.live_since[slot] <= t0_ns:
                outage.enter(slot)
        self._followed.append(outage)
        return outage

    def unfollow(self, outage: Outage) -> None:
        """Stop following."""
        self._followed.remove(outage)

    def grow(self, slots: int) -> None:
        """Make room for `slots` slots in all."""
        for outage in self._followed:
            outage.grow(slots)

    def attempted(self, at_ns: int) -> None:
        """See `Outage.attempted`."""
        for outage in self._followed:
            outage.attempted(at_ns)

    def dropped(self, slot: int, at_ns: int, *, was_subscribed: bool) -> None:
        """See `Outage.dropped`."""
        for outage in self._followed:
            outage.dropped(slot, at_ns, was_subscribed=was_subscribed)

    def connected(self, slot: int, at_ns: int) -> None:
        """See `Outage.connected`."""
        for outage in self._followed:
            outage.connected(slot, at_ns)

    def recovered(self, slot: int, at_ns: int) -> None:
        """See `Outage.recovered`."""
        for outage in self._followed:
            outage.recovered(slot, at_ns)
