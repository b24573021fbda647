"""The clients that an event did not disconnect: how late messages were for them before it and after it began.

    receipts, messages of a sample --judge--> what one worker tells --wire--> `others.BystanderPart` on the master

Laws
 1. A bystander was subscribed at t0 and has not been disconnected since. Before and after, the clients are the same.
 2. The windows are the H seconds before t0 and the H seconds from t0 on, by the *scheduled* time of messages; a second
    counts for a client that was subscribed all through it. What has not come by its deadline is later than everything.
 3. The unit is the client. One is *degraded* when its p99 after is above twice the baseline, which is the p99 of all
    bystanders of its worker before; of few messages a slow one may be chance, so more than `CHANCE` must be left of it.
 4. The baseline is the worker's own, so the error of a clock is on both sides of the comparison.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import NormalDist
from typing import Any, NamedTuple

from loadtest.clock import NS_PER_S
from loadtest.metrics.distribution import rank
from loadtest.metrics.histogram import Histogram

DEGRADED = 2.0
"""Times the baseline: a p99 above it is degraded service (METRICS.md)."""
CHANCE = 0.01
"""How likely so many slow messages may be of a client whose p99 is just at the bar, for it to count as degraded."""
LEAST_BEFORE = 100
"""Of fewer messages a p99 is the slowest one."""
LEAST_AFTER = 5
"""Of fewer messages a client is not judged."""
MOST_WINDOW_S = 60
MANY = 20_000

_LEVEL = 99.0


def window_s(hold_s: float) -> int:
    """Return H in whole seconds, 1 .. 60."""
    return min(max(1, math.ceil(hold_s)), MOST_WINDOW_S)


class Window(NamedTuple):
    """Where to look: H seconds on both sides of t0, at messages scheduled up to `settled_ns`: others may yet come."""

    t0_ns: int
    window_ns: int
    deadline_ns: int
    settled_ns: int

    def second(self, sched_ns: int) -> int | None:
        """Return the whole seconds from t0 to a message (-1: the second before it); None outside, or not settled."""
        since_ns = sched_ns - self.t0_ns
        inside = -self.window_ns <= since_ns < self.window_ns and sched_ns <= self.settled_ns
        return since_ns // NS_PER_S if inside else None

    def first_whole(self, since_ns: int) -> int:
        """Return the first second that lies behind `since_ns`."""
        return -(-(since_ns - self.t0_ns) // NS_PER_S)


class Member(NamedTuple):
    """A bystander of the sample: its channels, and since when it has been subscribed."""

    channels: Sequence[int]
    since_ns: int


def judge(
    members: Mapping[int, Member],
    messages: Iterable[tuple[int, int]],
    receipts: Iterable[tuple[int, int, int]],
    window: Window,
) -> dict[str, Any]:
    """Return one worker's part as plain values; `others.BystanderPart` reads it.

    Args:
        members: the bystanders of the sample, by slot.
        messages: (scheduled time, channel) of what was published.
        receipts: (scheduled time, latency in ns, slot) of first copies.
    """
    published: dict[int, Counter[int]] = {}
    for sched_ns, channel in messages:
        second = window.second(sched_ns)
        if second is not None:
            published.setdefault(channel, Counter())[second] += 1
    due: Counter[int] = Counter()
    due_after: Counter[int] = Counter()
    begins: dict[int, int] = {}
    for slot, member in members.items():
        begins[slot] = begin = window.first_whole(member.since_ns)
        for channel in member.channels:
            for second, number in published.get(channel, {}).items():
                if second >= begin:
                    due[second] += number
                    due_after[slot] += number if second >= 0 else 0
    seconds: dict[int, Histogram] = {second: Histogram() for second in due}
    after: dict[int, list[int]] = {}
    for sched_ns, latency_ns, slot in receipts:
        second = window.second(sched_ns) if slot in begins and latency_ns <= window.deadline_ns else None
        if second is not None and second >= begins[slot] and second in seconds:
            seconds[second].record(latency_ns)
            if second >= 0:
                after.setdefault(slot, []).append(latency_ns)
    missing = {second: max(0, number - seconds[second].count) for second, number in due.items()}
    judged = degraded = 0
    bar_ns = _bar_ns(seconds, missing)
    for slot, number in due_after.items():
        if bar_ns is not None and number >= LEAST_AFTER:
            judged += 1
            latencies = after.get(slot, [])
            slow = sum(latency_ns > bar_ns for latency_ns in latencies) + max(0, number - len(latencies))
            degraded += is_degraded(slow, number)
    return {
        "clients": len(members),
        "judged": judged,
        "degraded": degraded,
        "seconds": {second: [missing[second], histogram.to_wire()] for second, histogram in seconds.items()},
    }


def _bar_ns(seconds: Mapping[int, Histogram], missing: Mapping[int, int]) -> float | None:
    """Return twice the p99 before; None when it rests on too little, or was infinite."""
    before = Histogram()
    for second, histogram in seconds.items():
        if second < 0:
            before.add(histogram)
    due = before.count + sum(number for second, number in missing.items() if second < 0)
    wanted = rank(_LEVEL, due)
    if before.count < LEAST_BEFORE or wanted > before.count:
        return None
    return DEGRADED * before.at_ranks_ns([wanted])[0]


def is_degraded(slow: int, messages: int) -> bool:
    """Whether so many slow messages of all tell, beyond `CHANCE`, that more than one of 100 is slow.

    Source: the upper tail of the binomial distribution with p = 1/100, as a normal one where messages are many.
    """
    if slow * 100 <= messages:
        return False
    p = 1 - _LEVEL / 100
    if messages > MANY:
        return slow > messages * p + NormalDist().inv_cdf(1 - CHANCE) * math.sqrt(messages * p * (1 - p))
    term = math.exp(messages * math.log1p(-p))
    below = 0.0
    for number in range(slow):
        below += term
        term *= (messages - number) / (number + 1) * p / (1 - p)
    return 1 - below < CHANCE
