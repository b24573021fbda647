"""Follow this worker's members of P through one mass disconnect (METRICS.md, "Recovery after a mass disconnect").

    P at t0 --drop--> DOWN --transport--> CONNECTED --all subscribed--> ACKNOWLEDGED --canary--> BACK --drop--> DOWN ...

Laws: a member moves each of the three curves once per transition at most; who was never in P counts only as a secondary
drop. A mass disconnect is often noticed seconds after it began, so every transition of the last seconds is kept, and
following it late gives the very curve that following it from t0 would have given.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from loadtest.clock import NS_PER_S
from loadtest.herd.slots import Slots
from loadtest.herd.states import LIVE
from loadtest.metrics.recovery import RecoveryCurve

REMEMBERED_NS = 10 * NS_PER_S
"""How long a transition is kept at least: reports come once a second, the master asks a line later."""

_ATTEMPTED, _CONNECTED, _SUBSCRIBED, _RECOVERED, _FAILED, _LOST = range(6)

OUTSIDE, UP, DOWN, CONNECTED, ACKNOWLEDGED, BACK = range(6)


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
            self.curve.first_loss(at_ns)
        elif flag == OUTSIDE:
            if was_subscribed:
                self.curve.secondary_drop(at_ns)
            return
        elif flag >= CONNECTED:
            self.curve.connected(at_ns, -1)
            if flag >= ACKNOWLEDGED:
                self.curve.acknowledged(at_ns, -1)
            if flag == BACK:
                self.curve.subscribed(at_ns, -1)
                self.curve.secondary_drop(at_ns)
        self._flags[slot] = DOWN

    def connected(self, slot: int, at_ns: int) -> None:
        """Record that `slot` holds a transport again."""
        if self._flags[slot] == DOWN:
            self._flags[slot] = CONNECTED
            self.curve.connected(at_ns, +1)

    def acknowledged(self, slot: int, at_ns: int) -> None:
        """Record that `slot` has all its subscriptions again."""
        if self._flags[slot] == CONNECTED:
            self._flags[slot] = ACKNOWLEDGED
            self.curve.acknowledged(at_ns, +1)

    def recovered(self, slot: int, at_ns: int) -> None:
        """Record that `slot`, which has all its subscriptions again, was reached by a canary message or needs none."""
        if self._flags[slot] == ACKNOWLEDGED:
            self._flags[slot] = BACK
            self.curve.subscribed(at_ns, +1)


class _Recent:
    """The transitions of the last seconds, 16 bytes each: two generations, the older one forgotten as a whole."""

    def __init__(self) -> None:
        self._old = array("q"), array("q")
        self._young = array("q"), array("q")

    def add(self, at_ns: int, code: int) -> None:
        """Keep a transition; `code` is the slot's number * 8 + the kind of it."""
        times, codes = self._young
        if times and at_ns - times[0] > REMEMBERED_NS:
            self._old = times, codes
            times, codes = self._young = array("q"), array("q")
        times.append(at_ns)
        codes.append(code)

    def since(self, t0_ns: int) -> Iterator[tuple[int, int, int]]:
        """Yield (time, kind, slot) of what happened at or after `t0_ns`, in order."""
        for times, codes in (self._old, self._young):
            for at_ns, code in zip(times, codes, strict=True):
                if at_ns >= t0_ns:
                    yield at_ns, code & 7, code >> 3


class Outages:
    """All mass disconnects that are followed at present, over one table of slots."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._followed: list[Outage] = []
        self._recent = _Recent()

    def follow(self, event_id: str, t0_ns: int) -> Outage:
        """Follow a mass disconnect that began at `t0_ns`, now or up to `REMEMBERED_NS` earlier.

        P is who was subscribed just before t0: a session lost at t0 itself belongs to it.
        """
        table = self._slots
        happened = list(self._recent.since(t0_ns))
        was_live: dict[int, bool] = {}
        for at_ns, kind, slot in happened:
            if kind == _LOST or (kind == _SUBSCRIBED and at_ns > t0_ns):
                was_live.setdefault(slot, kind == _LOST)
        outage = Outage(event_id, t0_ns, len(table))
        for slot, state in enumerate(table.state):
            if was_live.get(slot, state == LIVE and table.live_since[slot] <= t0_ns):
                outage.enter(slot)
        for at_ns, kind, slot in happened:
            self._tell(outage, at_ns, kind, slot)
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
        """A connect attempt began."""
        self._recent.add(at_ns, _ATTEMPTED)
        for outage in self._followed:
            outage.attempted(at_ns)

    def connected(self, slot: int, at_ns: int) -> None:
        """The slot holds a transport."""
        self._recent.add(at_ns, slot << 3 | _CONNECTED)
        for outage in self._followed:
            outage.connected(slot, at_ns)

    def subscribed(self, slot: int, at_ns: int) -> None:
        """The slot is live: all its subscriptions are acknowledged."""
        self._recent.add(at_ns, slot << 3 | _SUBSCRIBED)
        for outage in self._followed:
            outage.acknowledged(slot, at_ns)

    def recovered(self, slot: int, at_ns: int) -> None:
        """The slot is live, and a canary message has reached it."""
        self._recent.add(at_ns, slot << 3 | _RECOVERED)
        for outage in self._followed:
            outage.recovered(slot, at_ns)

    def dropped(self, slot: int, at_ns: int, *, was_subscribed: bool) -> None:
        """The slot lost its transport."""
        self._recent.add(at_ns, slot << 3 | (_LOST if was_subscribed else _FAILED))
        for outage in self._followed:
            outage.dropped(slot, at_ns, was_subscribed=was_subscribed)

    @staticmethod
    def _tell(outage: Outage, at_ns: int, kind: int, slot: int) -> None:
        if kind == _ATTEMPTED:
            outage.attempted(at_ns)
        elif kind == _CONNECTED:
            outage.connected(slot, at_ns)
        elif kind == _RECOVERED:
            outage.recovered(slot, at_ns)
        elif kind == _SUBSCRIBED:
            outage.acknowledged(slot, at_ns)
        else:
            outage.dropped(slot, at_ns, was_subscribed=kind == _LOST)
