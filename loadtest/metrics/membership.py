"""How many subscriptions a channel had at any recent moment.

Law: changes are appended in time order; a question about a time older than the last prune is refused. The count at s
is the number of subscriptions acknowledged at or before s and not yet lost at s: |E_m| of METRICS.md for a message
scheduled at s.
"""

from __future__ import annotations

from bisect import bisect_right

KEPT = 64
"""Changes that are kept in any case: cheaper than looking."""


class Membership:
    """The step function "subscriptions over time" of one channel, remembered for a while."""

    __slots__ = ("_counts", "_times")

    def __init__(self) -> None:
        self._times = [-1]
        self._counts = [0]

    @property
    def now(self) -> int:
        """The count after the last change."""
        return self._counts[-1]

    def change(self, at_ns: int, delta: int) -> int:
        """Record that `delta` subscriptions were won or lost at `at_ns`.

        Returns:
            the time under which it is recorded: `at_ns`, or that of the last change when `at_ns` is before it.
        """
        times, counts = self._times, self._counts
        if at_ns <= times[-1]:
            counts[-1] += delta
            return times[-1]
        times.append(at_ns)
        counts.append(counts[-1] + delta)
        return at_ns

    def at(self, at_ns: int) -> int:
        """Return the count at `at_ns`, changes at that very time included."""
        index = bisect_right(self._times, at_ns) - 1
        return self._counts[max(index, 0)]

    def prune(self, before_ns: int) -> None:
        """Forget what is needed only for questions about times before `before_ns`."""
        if len(self._times) <= KEPT:
            return
        keep = bisect_right(self._times, before_ns) - 1
        if keep > KEPT:
            del self._times[:keep]
            del self._counts[:keep]
