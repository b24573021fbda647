"""A sample of clients whose messages are noted one by one, to tell what an event did to those it did not disconnect.

    listener --saw--> receipts \\
    publishers --announced--> messages > kept for both windows --follow(t0) ... take--> `bystanders.judge`

Laws
 1. The sample: one client in 32, but 64 of a herd at least and 256 at most, scattered over the slots. These are not
    quick (`wires`): the hot loop knows nothing of them, and they cost what an interned chunk costs by the slower way.
 2. What is noted is kept until the window behind the latest event and the deadline of its messages have passed: two
    generations, the older one forgotten as a whole. Of more than `MOST` receipts in one the sample is halved, so memory
    is bounded and the windows stay whole.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from loadtest.clock import NS_PER_S
from loadtest.herd import scatter
from loadtest.herd.outage import REMEMBERED_NS
from loadtest.herd.slots import Slots
from loadtest.herd.states import LIVE
from loadtest.metrics.bystanders import Member, Window, judge
from loadtest.metrics.ledger import GRACE_NS

ONE_IN = 32
AT_LEAST = 64
AT_MOST = 256
MOST = 1 << 15
"""Receipts kept in a generation, 20 bytes each."""
_SLACK_NS = 2 * NS_PER_S


class _Generation:
    """What was noted in a stretch of time."""

    def __init__(self, from_ns: int) -> None:
        self.from_ns = from_ns
        self.sched = array("q")
        self.latency = array("q")
        self.slot = array("i")
        self.published = array("q")
        self.channel = array("i")


class Witnesses:
    """The witnesses of one herd; none until it is told to `heed` them."""

    def __init__(self) -> None:
        self._below = 0
        self._halvings = 0
        self._slots = Slots()
        self._channels: Callable[[int], Sequence[int]] | None = None
        self._window_ns = self._deadline_ns = self._keep_ns = 0
        self._old, self._young = _Generation(0), _Generation(0)
        self._followed: dict[str, int] = {}

    def heed(self, slots: Slots, channels: Callable[[int], Sequence[int]], window_ns: int, deadline_ns: int) -> None:
        """Note from now on what clients of the sample receive.

        Args:
            channels: of a client by its index in the population, -1 for none.
            window_ns: H; how far to look on both sides of an event. deadline_ns: as the ledger's.
        """
        self._slots, self._channels = slots, channels
        self._window_ns, self._deadline_ns = window_ns, deadline_ns
        self._keep_ns = 2 * window_ns + deadline_ns + GRACE_NS + REMEMBERED_NS + _SLACK_NS
        self.grow(len(slots))

    def grow(self, slots: int) -> None:
        """Choose the sample of `slots` slots in all."""
        if self._channels is not None:
            drawn = scatter.bound(slots, one_in=ONE_IN, at_least=AT_LEAST, at_most=AT_MOST)
            self._below = drawn >> self._halvings

    def wants(self, slot: int) -> bool:
        """Whether the slot is of the sample."""
        return scatter.is_drawn(slot, self._below)

    # --- noting ------------------------------------------------------------------------------------------------------

    def saw(self, slot: int, sched_ns: int, now_ns: int) -> None:
        """Note the first copy of a message that the slot was eligible for."""
        young = self._at(now_ns)
        young.sched.append(sched_ns)
        young.latency.append(now_ns - sched_ns)
        young.slot.append(slot)
        if len(young.slot) > MOST:
            self._halve()

    def announced(self, sched_ns: int, channel: int) -> None:
        """Note a message that its publisher has sent."""
        if self._channels is not None:
            young = self._at(sched_ns)
            young.published.append(sched_ns)
            young.channel.append(channel)

    def _at(self, now_ns: int) -> _Generation:
        if now_ns - self._young.from_ns > self._keep_ns:
            self._old, self._young = self._young, _Generation(now_ns)
        return self._young

    def _halve(self) -> None:
        """Go on with half the sample, also in what is noted of this generation; `take` asks who is still of it."""
        self._halvings += 1
        self._below //= 2
        young = self._young
        kept = [at for at, slot in enumerate(young.slot) if self.wants(slot)]
        young.sched = array("q", map(young.sched.__getitem__, kept))
        young.latency = array("q", map(young.latency.__getitem__, kept))
        young.slot = array("i", map(young.slot.__getitem__, kept))

    # --- telling -----------------------------------------------------------------------------------------------------

    def follow(self, event_id: str, t0_ns: int) -> None:
        """Look at the clients that the event at `t0_ns` leaves connected."""
        if self._channels is not None:
            self._followed[event_id] = t0_ns

    def take(self, now_ns: int, *, final: bool = False) -> Iterator[list[Any]]:
        """Yield [event id, part] of the events whose windows have passed; of all that are followed if it is `final`."""
        after_ns = self._window_ns + self._deadline_ns + GRACE_NS
        for event_id, t0_ns in list(self._followed.items()):
            if final or now_ns >= t0_ns + after_ns:
                del self._followed[event_id]
                yield [event_id, self._judge(t0_ns, now_ns)]

    def _judge(self, t0_ns: int, now_ns: int) -> dict[str, Any]:
        window = Window(t0_ns, self._window_ns, self._deadline_ns, now_ns - self._deadline_ns)
        parts = (self._old, self._young)
        return judge(
            {slot: self._member(slot) for slot in range(len(self._slots)) if self._is_bystander(slot, t0_ns)},
            (pair for part in parts for pair in zip(part.published, part.channel, strict=True)),
            (row for part in parts for row in zip(part.sched, part.latency, part.slot, strict=True)),
            window,
        )

    def _is_bystander(self, slot: int, t0_ns: int) -> bool:
        """Whether a slot of the sample is in the session it had at t0: who was dropped since is in another, or none."""
        table = self._slots
        return self.wants(slot) and table.state[slot] == LIVE and table.live_since[slot] <= t0_ns

    def _member(self, slot: int) -> Member:
        assert self._channels is not None
        channels = self._channels(self._slots.index[slot])
        return Member([channel for channel in channels if channel >= 0], self._slots.live_since[slot])
