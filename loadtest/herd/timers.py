"""One timer wheel for every slot: backoff, give-up times, ping watchdogs.

Law: a slot has at most one timer. Arming again replaces it; cancelling costs one store. Buckets hold slot numbers;
an entry whose bucket is no longer the slot's own (`due`) is stale and is skipped when its bucket is reached.

    arm(slot, t) -> buckets[tick(t)].append(slot), due[slot] = tick(t)
    expired(now) -> slots whose tick has passed and is still theirs
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator

NEVER = 0


class TimerWheel:
    """Hold one deadline per slot, at a resolution of `tick_ns`.

    Args:
        tick_ns: width of a bucket. A timer fires up to one tick late, never early.
        start_ns: time of the first tick.

    Cost: arm and cancel O(1); `expired` O(entries reached), stale ones included.
    """

    def __init__(self, start_ns: int, tick_ns: int = 10_000_000) -> None:
        self._tick_ns = tick_ns
        self._start_ns = start_ns
        self._reached = 0
        self._last = 0
        self._buckets: dict[int, list[int]] = {}
        self._due = array("q")

    def grow(self, slots: int) -> None:
        """Make room for `slots` slots in all."""
        self._due.extend([NEVER] * (slots - len(self._due)))

    def arm(self, slot: int, at_ns: int) -> None:
        """Fire `slot` at `at_ns` or up to one tick later; replaces the slot's timer."""
        tick = -((self._start_ns - at_ns) // self._tick_ns)
        if tick <= self._last:
            tick = self._last + 1
        self._due[slot] = tick
        bucket = self._buckets.get(tick)
        if bucket is None:
            self._buckets[tick] = [slot]
        else:
            bucket.append(slot)

    def cancel(self, slot: int) -> None:
        """Forget the slot's timer, if any."""
        self._due[slot] = NEVER

    def expired(self, now_ns: int) -> Iterator[int]:
        """Yield the slots whose time has come, oldest first; arming while iterating is allowed, and never fires in the
        same call.

        A caller that stops early (to bound its turn) loses nothing: what was not yielded comes at the next call.
        """
        last = self._last = max(self._last, (now_ns - self._start_ns) // self._tick_ns)
        due, buckets = self._due, self._buckets
        while self._reached < last:
            tick = self._reached + 1
            bucket = buckets.get(tick)
            if bucket is None:
                if not buckets:
                    self._reached = last
                    return
                self._reached = tick
                continue
            while bucket:
                slot = bucket.pop()
                if due[slot] == tick:
                    due[slot] = NEVER
                    yield slot
            del buckets[tick]
            self._reached = tick
