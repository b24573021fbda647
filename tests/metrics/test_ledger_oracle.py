"""The ledger against a brute-force oracle, driven exactly as the herd drives it, by generated scripts."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from loadtest.clock import NS_PER_MS, NS_PER_S
from loadtest.metrics.book import Book
from loadtest.metrics.histogram import Histogram
from loadtest.metrics.ledger import GRACE_NS, NOT_SUBSCRIBED, Announced, Ledger
from loadtest.metrics.traces import Traces
from tests.metrics.ledger_oracle import Oracle

DEADLINE = NS_PER_S
CHANNELS = 3
SUBSCRIPTIONS = 12


class World:
    """A worker's ledger and the oracle in the same weather: delays, losses, duplicates, reordering, drops, replays."""

    def __init__(self, seed: int, *, prompt: bool, liars: bool = False) -> None:
        self.rng = random.Random(seed)
        self.prompt = prompt
        self.liars = liars
        self.channel_of = [number % CHANNELS for number in range(SUBSCRIPTIONS)]
        self.ledger = Ledger([0] * CHANNELS, DEADLINE)
        self.ledger.grow(SUBSCRIPTIONS)
        for subscription, channel in enumerate(self.channel_of):
            self.ledger.assign(subscription, channel)
        self.oracle = Oracle(self.channel_of, DEADLINE)
        self.now = 50 * NS_PER_S
        self.events: list[tuple[int, float, Callable[[], None]]] = []
        self.parcels: dict[Announced, Book] = {}
        self.next_seq: dict[tuple[int, int], int] = {}
        self.epochs = [[1] for _ in range(CHANNELS)]
        self.untold: list[Announced] = []
        self.sent: list[list[Announced]] = [[] for _ in range(CHANNELS)]
        self.counts: Counter[str] = Counter()
        self.fanout = Histogram()
        self.uncorrected = Histogram()
        self.by_second = Histogram()
        self.seconds: Counter[str] = Counter()
        self.traced: Counter[str] = Counter()
        self.copies = 0

    def at(self, delay: int, action: Callable[[], None]) -> None:
        heapq.heappush(self.events, (self.now + delay, self.rng.random(), action))

    # --- what the herd does ---------------------------------------------------------------------------------------

    def deliver(self, subscription: int, marker: Announced) -> None:
        """`Herd.turn`, `_deliver` and `_enter`."""
        ledger, now = self.ledger, self.now
        if self.prompt and now > marker.sched_ns + DEADLINE:
            self.announce(len(self.untold))
            self.close()
        self.copies += 1
        self.oracle.received(subscription, marker, now)
        book = self.parcels.get(marker) if self.rng.random() < 0.9 else None
        if book is None:
            book = ledger.book(*marker, now)
            if book is None:
                return
            self.parcels[marker] = book
        if ledger.held[subscription] is book.prev:
            ledger.held[subscription] = book
            book.times.append(now)
        else:
            ledger.received(subscription, book, now)

    def come_and_go(self) -> None:
        subscription = self.rng.randrange(SUBSCRIPTIONS)
        if self.ledger.since[subscription] == NOT_SUBSCRIBED:
            if self.rng.random() < 0.5:
                self.replay(subscription)
            self.ledger.subscribed(subscription, self.now)
            self.oracle.subscribed(subscription, self.now)
            if self.rng.random() < 0.5:
                self.replay(subscription)
        elif self.rng.random() < 0.6:
            self.ledger.dropped(subscription, self.now)
            self.oracle.dropped(subscription, self.now)

    def replay(self, subscription: int) -> None:
        """Session recovery: what was sent lately, in order, to one subscriber."""
        for marker in self.sent[self.channel_of[subscription]][-self.rng.randrange(1, 8) :]:
            if marker.sched_ns < self.now:
                self.deliver(subscription, marker)

    # --- what publishers and the target do ------------------------------------------------------------------------

    def publish(self) -> None:
        rng = self.rng
        channel = rng.randrange(CHANNELS)
        if rng.random() < 0.05:
            self.epochs[channel].append(self.epochs[channel][-1] + 1)
        epoch = rng.choice(self.epochs[channel][-2:])
        seq = self.next_seq.get((channel, epoch), 0)
        self.next_seq[channel, epoch] = seq + 1
        late = rng.choice((0, 0, 1_000, 250_000))
        marker = Announced(channel, epoch, seq, self.now, late)
        self.sent[channel].append(marker)
        self.untold.append(marker)
        calm = rng.random() < 0.5
        lie = marker._replace(sched_ns=self.now - rng.choice((0, 3)), late_ns=late + rng.choice((0, 5)))
        for subscription in range(SUBSCRIPTIONS):
            if self.channel_of[subscription] != channel and (calm or rng.random() < 0.98):
                continue
            if self.liars and rng.random() < 0.05:
                self.at(rng.randrange(1, 300 * NS_PER_MS), lambda s=subscription: self.deliver(s, lie))  # type: ignore[misc]
            for delay in self.delays(calm):
                self.at(late + delay, lambda s=subscription: self.deliver(s, marker))  # type: ignore[misc]

    def delays(self, calm: bool) -> list[int]:
        rng = self.rng
        if calm:
            return [5 * NS_PER_MS]
        chance = rng.random()
        if chance < 0.08:
            return []
        if chance < 0.16:
            return [rng.randrange(1, NS_PER_S) for _ in range(3)]
        if chance < 0.2:
            return [DEADLINE + rng.choice((-1, 0, 1, NS_PER_MS, NS_PER_S, 4 * NS_PER_S))]
        return [rng.randrange(1, 200 * NS_PER_MS)]

    def imitate(self) -> None:
        """Markers of our run that no publisher ever sent."""
        channel, rng = self.rng.randrange(CHANNELS), self.rng
        fakes = [
            Announced(channel, 99, rng.randrange(5), self.now - rng.randrange(NS_PER_S), 0),
            Announced(channel, 1, 10**9, self.now, 0),
            Announced(77, 1, 0, self.now, 0),
            Announced(channel, 98, 0, self.now + 10 * NS_PER_S, 0),
        ]
        fake = rng.choice(fakes)
        for subscription in rng.sample(range(SUBSCRIPTIONS), 3):
            self.deliver(subscription, fake)

    def announce(self, most: int) -> None:
        for marker in self.untold[:most]:
            self.ledger.announce(marker)
            self.oracle.announce(marker)
            if self.rng.random() < 0.1:
                self.ledger.announce(marker)
        del self.untold[:most]

    def close(self) -> None:
        while self.untold and self.untold[0].sched_ns <= self.now - DEADLINE - GRACE_NS + NS_PER_MS:
            self.announce(1)
        self.ledger.close(self.now)
        self.oracle.close(self.now)
        if self.rng.random() < 0.5:
            self.take()

    def take(self) -> None:
        wire: dict[str, Any] = self.ledger.take()
        self.counts.update(wire["counts"])
        self.fanout.add(Histogram.from_wire(wire["fanout"]))
        self.uncorrected.add(Histogram.from_wire(wire["uncorrected"]))
        for expected, delivered, lost, latencies in wire["seconds"].values():
            self.seconds.update(expected=expected, delivered=delivered, lost=lost)
            self.by_second.add(Histogram.from_wire(latencies))
        for trace in Traces.read(wire["traces"]):
            self.traced.update(expected=trace.expected, delivered=int(trace.counts.sum()))

    # --- the run --------------------------------------------------------------------------------------------------

    def run(self, steps: int) -> None:
        actions = (self.publish, self.publish, self.come_and_go, self.imitate, lambda: self.announce(3), self.close)
        weights = (30, 30, 25, 2, 20, 6)
        at = 0
        for action in self.rng.choices(actions, weights, k=steps):
            self.at(at, action)
            at += self.rng.choice((0, 1, 3 * NS_PER_MS, 40 * NS_PER_MS, 80 * NS_PER_MS))
        while self.events:
            self.now, _, action = heapq.heappop(self.events)
            action()
        self.announce(len(self.untold))
        for _ in range(4):
            self.now += DEADLINE + GRACE_NS
            self.close()
        self.take()

    def assert_nothing_is_left(self) -> None:
        ledger = self.ledger
        assert (ledger.open_books, len(ledger._history), ledger._apart) == (0, 0, {})
        assert ledger._unannounced == 0
        assert all(stream.top >= 0 and not stream.books and not stream._closed for stream in ledger._streams.values())
        assert len(ledger._streams) <= sum(len(epochs) for epochs in self.epochs)
        if (stream := ledger._streams.get((0, 1))) is not None:
            assert stream.tail is not None


COPIES = ("delivered", "duplicated", "late", "extra", "early", "misrouted", "foreign")
KINDS = (*COPIES, "expected", "lost", "reordered", "replayed")
CLASSED = [f"{kind}.{of}" for kind in ("throughout", "recovered", "gone") for of in ("expected", "delivered")]


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("prompt", [True, False], ids=["closed at once", "closed sometime"])
def test_every_figure_equals_the_oracles(seed: int, prompt: bool) -> None:
    world = World(seed, prompt=prompt)
    world.run(500)
    counts, corrected, uncorrected = world.oracle.figures()
    assert {kind: world.counts[kind] for kind in KINDS} == {kind: counts[kind] for kind in KINDS}
    assert world.counts["imbalance"] == world.counts["announced_late"] == world.counts["announced_twice"] == 0
    assert sum(world.counts[kind] for kind in COPIES) == world.copies
    if prompt:
        assert {kind: world.counts[kind] for kind in CLASSED} == {kind: counts[kind] for kind in CLASSED}
    assert sum(world.counts[kind] for kind in CLASSED[::2]) == counts["expected"]
    assert sum(world.counts[kind] for kind in CLASSED[1::2]) == counts["delivered"]
    assert world.fanout == world.by_second == corrected
    assert world.uncorrected == uncorrected
    assert world.seconds == {kind: counts[kind] for kind in ("expected", "delivered", "lost")}
    assert world.traced == {kind: counts[kind] for kind in ("expected", "delivered")}
    world.assert_nothing_is_left()


def test_the_scripts_reach_every_corner() -> None:
    seen: Counter[str] = Counter()
    for seed in range(10):
        world = World(seed, prompt=True)
        world.run(500)
        seen.update(world.counts)
    assert all(seen[kind] > 20 for kind in (*KINDS, *CLASSED)), seen


@pytest.mark.parametrize("seed", range(30))
def test_a_target_that_forges_times_unbalances_nothing(seed: int) -> None:
    world = World(seed, prompt=bool(seed % 2), liars=True)
    world.run(400)
    counts, _, _ = world.oracle.figures()
    assert world.counts["imbalance"] == world.counts["announced_late"] == world.counts["announced_twice"] == 0
    assert world.counts["expected"] == counts["expected"] == world.counts["delivered"] + world.counts["lost"]
    assert world.counts["delivered"] <= counts["delivered"]
    assert sum(world.counts[kind] for kind in COPIES) == world.copies
    world.assert_nothing_is_left()


def forget_a_time(world: World) -> None:
    """The tenth delivery is entered, but its time is swallowed."""
    original, entered = world.ledger.received, 0

    def received(subscription: int, book: Book, now_ns: int) -> bool:
        nonlocal entered
        first = original(subscription, book, now_ns)
        entered += first
        if first and entered == 10:
            book.times.pop()
        return first

    world.ledger.received = received  # type: ignore[method-assign]


def invent_a_time(world: World) -> None:
    """The tenth copy that is no delivery gets a time all the same."""
    original, refused = world.ledger.received, 0

    def received(subscription: int, book: Book, now_ns: int) -> bool:
        nonlocal refused
        first = original(subscription, book, now_ns)
        refused += not first and not book.closed and book.channel == world.channel_of[subscription]
        if not first and refused == 10:
            refused += 1
            book.times.append(now_ns)
        return first

    world.ledger.received = received  # type: ignore[method-assign]


def overlook_a_drop(world: World) -> None:
    """The membership never hears of the third drop."""
    original, drops = world.ledger.dropped, 0

    def dropped(subscription: int, at_ns: int) -> None:
        nonlocal drops
        original(subscription, at_ns)
        drops += 1
        if drops == 3:
            world.ledger._membership[world.channel_of[subscription]].change(at_ns, +1)

    world.ledger.dropped = dropped  # type: ignore[method-assign]


@pytest.mark.parametrize("breach", [forget_a_time, invent_a_time, overlook_a_drop])
def test_books_that_were_tampered_with_do_not_balance(breach: Callable[[World], None]) -> None:
    world = World(3, prompt=False)
    breach(world)
    world.run(400)
    assert world.counts["imbalance"] > 0
