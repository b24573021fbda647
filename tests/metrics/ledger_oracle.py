"""The delivery figures from their definitions (METRICS.md, "Delivery"): events kept in lists, nothing incremental."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from loadtest.metrics.histogram import Histogram
from loadtest.metrics.ledger import Announced

Number = tuple[int, int, int]


@dataclass
class Subscribed:
    """One stay: [since, until); `from_step` and `to_step` order it among events of one nanosecond."""

    since: int
    from_step: int
    until: int | None = None
    to_step: int | None = None

    def covers(self, sched_ns: int) -> bool:
        return self.since <= sched_ns and (self.until is None or sched_ns < self.until)

    def lasts(self, step: int) -> bool:
        return self.from_step < step and (self.to_step is None or step < self.to_step)


@dataclass
class Copy:
    step: int
    at: int
    subscription: int
    marker: Announced


@dataclass
class Oracle:
    """Everything that happened. `stays`: per subscription. `announced`: true messages. `closes`: (step, time)."""

    channel_of: list[int]
    deadline_ns: int
    step: int = 0
    stays: dict[int, list[Subscribed]] = field(default_factory=dict)
    copies: list[Copy] = field(default_factory=list)
    announced: dict[Announced, int] = field(default_factory=dict)
    closes: list[tuple[int, int]] = field(default_factory=list)

    def tick(self) -> int:
        self.step += 1
        return self.step

    def subscribed(self, subscription: int, at: int) -> None:
        self.stays.setdefault(subscription, []).append(Subscribed(at, self.tick()))

    def dropped(self, subscription: int, at: int) -> None:
        stay = self.stays[subscription][-1]
        stay.until, stay.to_step = at, self.tick()

    def received(self, subscription: int, marker: Announced, at: int) -> None:
        self.copies.append(Copy(self.tick(), at, subscription, marker))

    def announce(self, marker: Announced) -> None:
        self.announced[marker] = self.tick()

    def close(self, at: int) -> None:
        self.closes.append((self.tick(), at))

    def is_subscribed(self, subscription: int, step: int) -> bool:
        return any(stay.lasts(step) for stay in self.stays.get(subscription, []))

    def eligible(self, marker: Announced) -> list[tuple[int, Subscribed]]:
        return [
            (subscription, stay)
            for subscription, stays in self.stays.items()
            if self.channel_of[subscription] == marker.channel
            for stay in stays
            if stay.covers(marker.sched_ns)
        ]

    def figures(self) -> tuple[Counter[str], Histogram, Histogram]:
        """Return the counts, and the latencies and uncorrected latencies of what was delivered."""
        counts: Counter[str] = Counter()
        corrected, uncorrected = Histogram(), Histogram()
        delivered: dict[tuple[int, int, Announced], Copy] = {}
        for copy in self.copies:
            marker = copy.marker
            stays = self.stays.get(copy.subscription, [])
            owed = next((number for number, stay in enumerate(stays) if stay.covers(marker.sched_ns)), None)
            if marker not in self.announced:
                counts["foreign"] += 1
            elif copy.at > marker.sched_ns + self.deadline_ns:
                counts["late"] += 1
            elif self.channel_of[copy.subscription] != marker.channel:
                counts["misrouted"] += 1
            elif owed is None:
                counts["extra" if self.is_subscribed(copy.subscription, copy.step) else "early"] += 1
            elif (copy.subscription, owed, marker) in delivered:
                counts["duplicated"] += 1
            else:
                self._deliver(copy, owed, delivered, counts)
                delivered[copy.subscription, owed, marker] = copy
                corrected.record(copy.at - marker.sched_ns)
                uncorrected.record(copy.at - marker.sched_ns - marker.late_ns)
        for marker, told in self.announced.items():
            ends = [step for step, at in self.closes if step > told and at > marker.sched_ns + self.deadline_ns]
            for subscription, stay in self.eligible(marker):
                has = (subscription, self.stays[subscription].index(stay), marker) in delivered
                kind = "gone"
                if stay.lasts(ends[0]):
                    kind = "throughout"
                elif self.is_subscribed(subscription, ends[0]):
                    kind = "recovered"
                counts["expected"] += 1
                counts["delivered" if has else "lost"] += 1
                counts[f"{kind}.expected"] += 1
                counts[f"{kind}.delivered"] += has
        return counts, corrected, uncorrected

    def _deliver(
        self, copy: Copy, owed: int, delivered: dict[tuple[int, int, Announced], Copy], counts: Counter[str]
    ) -> None:
        if not self.stays[copy.subscription][owed].lasts(copy.step):
            counts["replayed"] += 1
            return
        seen = [
            marker.seq
            for subscription, stay, marker in delivered
            if (subscription, stay, marker.epoch) == (copy.subscription, owed, copy.marker.epoch)
        ]
        counts["reordered"] += copy.marker.seq < max(seen, default=-1)
