"""The ledger's laws as tables; the generated scripts against the oracle are in test_ledger_oracle.py."""

from __future__ import annotations

from typing import Any

import pytest

from loadtest.clock import NS_PER_MS, NS_PER_S
from loadtest.metrics import delivery
from loadtest.metrics.book import Book
from loadtest.metrics.histogram import Histogram
from loadtest.metrics.ledger import GRACE_NS, MOST_AHEAD, NOT_SUBSCRIBED, Announced, Ledger
from loadtest.metrics.traces import Traces

D = 5 * NS_PER_S
T = 100 * NS_PER_S
MS = NS_PER_MS
COPIES = ("delivered", "duplicated", "late", "extra", "early", "misrouted", "foreign")


class Worker:
    """A ledger driven as the herd does it. Subscriptions 0 .. n-1 of channel 0, subscribed at T unless told."""

    def __init__(self, subscriptions: int = 3, channels: list[int] | None = None, **options: int) -> None:
        channel_of = channels or [0] * subscriptions
        self.ledger = Ledger([0] * (max(channel_of) + 1), D, **options)
        self.ledger.grow(len(channel_of))
        for subscription, channel in enumerate(channel_of):
            self.ledger.assign(subscription, channel)
            self.ledger.subscribed(subscription, T)

    def copy(self, subscription: int, message: Announced, at: int) -> bool:
        """Deliver a copy; say whether it was believed at all (had a book)."""
        book = self.ledger.book(*message, at)
        if book is not None:
            self.take(subscription, book, at)
        return book is not None

    def take(self, subscription: int, book: Book, at: int) -> None:
        if self.ledger.held[subscription] is book.prev:
            self.ledger.held[subscription] = book
            book.times.append(at)
        else:
            self.ledger.received(subscription, book, at)

    def everybody(self, message: Announced, at: int) -> None:
        for subscription in range(len(self.ledger.held)):
            self.copy(subscription, message, at)

    def counts(self, now: int) -> dict[str, int]:
        self.ledger.close(now)
        return {kind: count for kind, count in self.ledger.take()["counts"].items() if count}

    def end(self) -> dict[str, int]:
        """Everything that happened, without the classes; the books must balance."""
        counts = self.counts(T + 5000 * NS_PER_S)
        assert self.ledger.open_books == 0
        assert "imbalance" not in counts
        absences = ("missed_away", "caught_up")  # counted beside all this: see test_absence
        return {kind: count for kind, count in counts.items() if "." not in kind and kind not in absences}


def message(seq: int, at: int = T + MS, *, channel: int = 0, epoch: int = 1, late: int = 0) -> Announced:
    return Announced(channel, epoch, seq, at + seq * MS, late)


def test_everybody_in_order_takes_the_fast_path_and_balances() -> None:
    worker = Worker(3)
    for seq in range(5):
        worker.everybody(message(seq), T + 10 * MS + seq * MS)
        worker.ledger.announce(message(seq))
    assert worker.end() == {"expected": 15, "delivered": 15}


@pytest.mark.parametrize(
    ("since", "dropped", "eligible"),
    [
        (T + 10, None, True),  # subscribed at s_m itself
        (T + 9, None, True),
        (T + 11, None, False),
        (T, T + 10, False),  # lost at s_m itself
        (T, T + 11, True),
        (T, T + 9, False),
    ],
)
def test_eligible_is_subscribed_at_or_before_and_not_lost_at_the_scheduled_time(
    since: int, dropped: int | None, eligible: bool
) -> None:
    worker = Worker(2)
    worker.ledger.dropped(1, T)
    worker.ledger.subscribed(1, since)
    if dropped is not None:
        worker.ledger.dropped(1, dropped)
    sent = Announced(0, 1, 0, T + 10, 0)
    worker.ledger.announce(sent)
    worker.copy(0, sent, T + MS)
    assert worker.end() == {"expected": 1 + eligible, "delivered": 1} | ({"lost": 1} if eligible else {})


def test_a_message_is_lost_after_its_deadline_not_at_it() -> None:
    worker = Worker(1)
    sent = message(0)
    worker.ledger.announce(sent)
    assert worker.counts(sent.sched_ns + D) == {}
    assert worker.ledger.open_books == 1
    assert worker.counts(sent.sched_ns + D + 1)["lost"] == 1
    assert worker.ledger.open_books == 0


@pytest.mark.parametrize("warm", [True, False], ids=["fast path", "slow path"])
@pytest.mark.parametrize("known", [True, False], ids=["book at hand", "marker read anew"])
@pytest.mark.parametrize("closed", [True, False], ids=["after closing", "before closing"])
@pytest.mark.parametrize("after", [0, 1])
def test_a_copy_after_the_deadline_is_late_whenever_books_are_closed(
    warm: bool, known: bool, closed: bool, after: int
) -> None:
    worker = Worker(2)
    first, second = message(0), message(1)
    worker.ledger.announce(first)
    worker.ledger.announce(second)
    if warm:
        worker.everybody(first, T + 5 * MS)
    worker.copy(0, second, T + 6 * MS)
    book = worker.ledger.book(*second, T + 6 * MS)
    assert book is not None
    at = second.sched_ns + D + after
    if closed and after:
        worker.ledger.close(at)
    if known:
        worker.take(1, book, at)
    else:
        worker.copy(1, second, at)
    counts = worker.end()
    assert counts.get("late", 0) == after
    assert counts["delivered"] == 1 + 2 * warm + (1 - after)
    assert counts["expected"] == 4


def test_duplicates_are_counted_once_each_on_every_path() -> None:
    worker = Worker(1)
    for seq in (0, 0, 1, 0, 1, 3, 3, 2, 2, 3):
        worker.copy(0, message(seq), T + 50 * MS)
    for seq in range(4):
        worker.ledger.announce(message(seq))
    assert worker.end() == {"expected": 4, "delivered": 4, "duplicated": 6, "reordered": 1}


@pytest.mark.parametrize(
    ("order", "reordered"), [("01234", 0), ("10234", 1), ("43210", 4), ("02413", 2), ("04", 0), ("40", 1)]
)
def test_reordered_is_below_the_highest_seen(order: str, reordered: int) -> None:
    worker = Worker(1)
    for seq in range(5):
        worker.ledger.announce(message(seq))
    for at, digit in enumerate(order):
        worker.copy(0, message(int(digit)), T + 50 * MS + at)
    counts = worker.end()
    assert (counts.get("reordered", 0), counts["delivered"]) == (reordered, len(order))
    assert counts.get("lost", 0) == 5 - len(order)


def test_a_gap_ends_with_the_deadline_and_the_fast_path_is_back() -> None:
    worker = Worker(2)
    for seq in range(10):
        sent = message(seq, T + seq * NS_PER_S)
        worker.ledger.announce(sent)
        worker.copy(0, sent, sent.sched_ns + MS)
        if seq != 2:
            worker.copy(1, sent, sent.sched_ns + MS)
        assert (worker.ledger.held[1] is None) == (2 < seq < 8), seq
        worker.ledger.close(sent.sched_ns + MS)
    assert worker.end() == {"expected": 20, "delivered": 19, "lost": 1}


def drop_and_return(worker: Worker, subscription: int) -> None:
    worker.ledger.dropped(subscription, T + 20 * MS)
    worker.ledger.subscribed(subscription, T + 60 * MS)


def classes(counts: dict[str, int]) -> dict[str, tuple[int, int]]:
    return {
        kind: (counts.get(f"{kind}.expected", 0), counts.get(f"{kind}.delivered", 0))
        for kind in ("throughout", "recovered", "gone")
    }


@pytest.mark.parametrize("before_acknowledgement", [True, False])
def test_a_replay_after_a_drop_is_delivered_as_recovered(before_acknowledgement: bool) -> None:
    worker = Worker(3)
    sent = message(0)
    worker.ledger.announce(sent)
    worker.copy(0, sent, T + 10 * MS)
    worker.ledger.dropped(1, T + 20 * MS)
    worker.ledger.dropped(2, T + 20 * MS)
    if before_acknowledgement:
        worker.copy(1, sent, T + 50 * MS)
    worker.ledger.subscribed(1, T + 60 * MS)
    for at in (70, 80):
        worker.copy(1, sent, T + at * MS)
    counts = worker.counts(T + 20 * NS_PER_S)
    assert classes(counts) == {"throughout": (1, 1), "recovered": (1, 1), "gone": (1, 0)}
    duplicated = 1 + before_acknowledgement
    assert (counts["replayed"], counts["duplicated"], counts["lost"]) == (1, duplicated, 1)
    assert "imbalance" not in counts


def test_who_had_the_message_before_the_drop_is_recovered_even_when_nothing_is_lost() -> None:
    worker = Worker(2)
    sent = message(0)
    worker.everybody(sent, T + 10 * MS)
    worker.ledger.announce(sent)
    drop_and_return(worker, 1)
    assert classes(worker.counts(T + 20 * NS_PER_S)) == {"throughout": (1, 1), "recovered": (1, 1), "gone": (0, 0)}


@pytest.mark.parametrize(("subscribe", "kind"), [(True, "extra"), (False, "early")])
def test_a_copy_nobody_owed_is_no_delivery(subscribe: bool, kind: str) -> None:
    worker = Worker(2)
    worker.ledger.dropped(1, T + 20 * MS)
    sent = message(0, T + 30 * MS)
    worker.ledger.announce(sent)
    worker.copy(0, sent, T + 40 * MS)
    if subscribe:
        worker.ledger.subscribed(1, T + 60 * MS)
    worker.copy(1, sent, T + 70 * MS)
    assert worker.end() == {"expected": 1, "delivered": 1, kind: 1}


def test_a_new_epoch_starts_anew_and_the_old_one_may_still_arrive() -> None:
    worker = Worker(1)
    script = [(1, 0), (1, 1), (2, 0), (1, 2), (2, 1), (1, 2), (1, 1), (2, 3), (1, 3), (2, 2)]
    for epoch, seq in sorted(set(script)):
        worker.ledger.announce(message(seq, epoch=epoch))
    for at, (epoch, seq) in enumerate(script):
        worker.copy(0, message(seq, epoch=epoch), T + 50 * MS + at)
    assert worker.end() == {"expected": 8, "delivered": 8, "duplicated": 2, "reordered": 1}


def test_a_copy_on_another_channels_subscription_is_misrouted() -> None:
    worker = Worker(channels=[0, 1])
    sent = message(0)
    worker.ledger.announce(sent)
    worker.copy(0, sent, T + 9 * MS)
    worker.copy(1, sent, T + 9 * MS)
    assert worker.end() == {"expected": 1, "delivered": 1, "misrouted": 1}


def test_a_client_with_two_channels_has_two_accounts() -> None:
    ledger = Ledger([0, 1], D)
    ledger.grow(4)
    for subscription in range(4):  # two clients, groups 0 and 1
        ledger.assign(subscription, subscription % 2)
        ledger.subscribed(subscription, T)
    worker = Worker()
    worker.ledger = ledger
    for channel in (0, 1):
        sent = message(0, channel=channel)
        ledger.announce(sent)
        book = ledger.book(*sent, T + 5 * MS)
        assert book is not None
        assert book.group == channel
        for client in range(2 - channel):
            worker.take(client * 2 + book.group, book, T + 5 * MS)
    assert worker.end() == {"expected": 4, "delivered": 3, "lost": 1}


BELIEVABLE = Announced(0, 1, 0, T, 0)


@pytest.mark.parametrize(
    "marker",
    [
        BELIEVABLE._replace(channel=1),
        BELIEVABLE._replace(channel=-1),
        BELIEVABLE._replace(channel=10**19),
        BELIEVABLE._replace(seq=MOST_AHEAD),
        BELIEVABLE._replace(seq=10**19),
        BELIEVABLE._replace(sched_ns=0),
        BELIEVABLE._replace(sched_ns=T - D - GRACE_NS),
        BELIEVABLE._replace(sched_ns=T + NS_PER_S + 1),
        BELIEVABLE._replace(late_ns=D + GRACE_NS + 1),
    ],
    ids=str,
)
def test_an_absurd_marker_is_foreign_and_opens_nothing(marker: Announced) -> None:
    worker = Worker(1)
    assert worker.copy(0, BELIEVABLE, T)
    opened = worker.ledger.open_books
    assert not worker.copy(0, marker, T)
    assert worker.ledger.open_books == opened
    assert worker.counts(T) == {"foreign": 1}


def test_a_marker_nobody_announces_leaves_no_trace_but_foreign() -> None:
    worker = Worker(2)
    true, forged = [message(seq) for seq in range(2)], message(7)
    worker.everybody(true[0], T + 10 * MS)
    for _ in range(2):
        worker.everybody(forged, T + 11 * MS)
    worker.everybody(true[1], T + 12 * MS)
    for sent in true:
        worker.ledger.announce(sent)
    counts = worker.counts(forged.sched_ns + D + GRACE_NS)
    assert (counts["foreign"], counts["delivered"], counts.get("duplicated")) == (4, 4, None)
    for seq in range(2, 9):  # the true number 7 comes later and is nobody's duplicate
        sent = message(seq, T + 10 * NS_PER_S)
        worker.ledger.announce(sent)
        worker.everybody(sent, T + 11 * NS_PER_S)
    assert worker.end() == {"expected": 14, "delivered": 14}


def test_an_imitation_before_the_announcement_is_thrown_away_with_all_its_copies() -> None:
    worker = Worker(3)
    first, true = message(0), message(1)
    lie = true._replace(sched_ns=true.sched_ns - 500)
    worker.everybody(first, T + 4 * MS)
    worker.copy(0, lie, T + 5 * MS)
    worker.copy(1, lie, T + 5 * MS)
    book = worker.ledger.book(*lie, T + 5 * MS)
    assert book is not None
    worker.ledger.dropped(1, T + 6 * MS)
    for sent in (first, true):
        worker.ledger.announce(sent)
    for subscription in range(3):
        worker.copy(subscription, true, T + 9 * MS)
    worker.take(2, book, T + 10 * MS)  # the forged bytes again: their book is known and void
    assert not worker.copy(2, lie, T + 10 * MS)
    counts = worker.counts(T + 20 * NS_PER_S)
    assert {kind: counts.get(kind, 0) for kind in ("foreign", "expected", "delivered", "lost", "imbalance")} == {
        "foreign": 4,
        "expected": 6,
        "delivered": 6,
        "lost": 0,
        "imbalance": 0,
    }


def test_announcements_may_come_before_or_after_receipts_and_twice() -> None:
    worker = Worker(2)
    for seq in range(4):
        if seq % 2:
            worker.ledger.announce(message(seq))
        worker.everybody(message(seq), T + 10 * MS + seq)
        worker.ledger.announce(message(seq))
        worker.ledger.announce(message(seq))
    assert worker.end() == {"expected": 8, "delivered": 8}


def test_latencies_wait_for_the_announcement() -> None:
    worker = Worker(2)
    worker.everybody(message(0, late=MS), T + 10 * MS)
    worker.ledger.close(T + NS_PER_S)
    assert worker.ledger.take()["fanout"]["i"] == b""
    worker.ledger.announce(message(0, late=MS))
    worker.ledger.close(T + NS_PER_S)
    taken = worker.ledger.take()
    assert Histogram.from_wire(taken["fanout"]).max_ns == 9 * MS
    assert Histogram.from_wire(taken["uncorrected"]).max_ns == 8 * MS
    assert taken["seconds"] == {}


def test_a_second_announcement_with_other_times_is_refused() -> None:
    worker = Worker(1)
    worker.ledger.announce(message(0))
    worker.ledger.announce(message(0)._replace(sched_ns=T + 2 * MS))
    worker.copy(0, message(0), T + 5 * MS)
    assert worker.end() == {"expected": 1, "delivered": 1, "announced_twice": 1}


@pytest.mark.parametrize("heard", [True, False])
def test_an_announcement_after_the_grace_is_refused_and_its_receipts_stay_foreign(heard: bool) -> None:
    worker = Worker(1)
    sent = message(0)
    if heard:
        worker.copy(0, sent, T + 5 * MS)
    worker.ledger.close(sent.sched_ns + D + GRACE_NS)
    worker.ledger.announce(sent)
    assert worker.end() == {"announced_late": 1} | ({"foreign": 1} if heard else {})


def test_a_later_book_closes_before_an_earlier_one_waits_out_its_grace() -> None:
    worker = Worker(1)
    for seq in range(3):
        worker.copy(0, message(seq), T + 9 * MS)
    worker.ledger.announce(message(2))
    worker.ledger.close(message(2).sched_ns + D + 1)
    assert worker.ledger.open_books == 2
    worker.ledger.announce(message(1))
    assert worker.end() == {"expected": 2, "delivered": 2, "foreign": 1}


def test_traces_are_every_nth_message_that_somebody_expects() -> None:
    worker = Worker(2, trace_every=3)
    for seq in range(7):
        worker.ledger.announce(message(seq))
    worker.ledger.announce(message(0, epoch=2, at=T - NS_PER_S))
    worker.ledger.close(T + 30 * NS_PER_S)
    taken: dict[str, Any] = worker.ledger.take()
    assert [(*trace.message, trace.expected) for trace in Traces.read(taken["traces"])] == [
        (0, 1, seq, 2) for seq in (0, 3, 6)
    ]
    assert {second: row[:3] for second, row in taken["seconds"].items()} == {99: [0, 0, 0], 100: [14, 0, 14]}


def test_traces_beyond_what_a_report_holds_are_counted(monkeypatch) -> None:
    monkeypatch.setattr(delivery, "MOST_TRACES", 3)
    worker = Worker(2)
    for seq in range(7):
        worker.ledger.announce(message(seq))
    worker.ledger.close(T + 30 * NS_PER_S)
    taken: dict[str, Any] = worker.ledger.take()
    assert (len(Traces.read(taken["traces"])), taken["counts"]["untraced"]) == (3, 4)


def test_subscribing_twice_and_dropping_twice_changes_nothing() -> None:
    worker = Worker(1)
    worker.ledger.subscribed(0, T + 1)
    assert worker.ledger.since[0] == T
    worker.ledger.dropped(0, T + 2)
    worker.ledger.dropped(0, T + 3)
    assert worker.ledger.since[0] == NOT_SUBSCRIBED
    worker.ledger.announce(message(0))
    assert worker.end() == {}


def test_memory_over_hours_is_that_of_a_deadline() -> None:
    worker = Worker(4)
    most = 0
    for second in range(2000):
        at = T + second * NS_PER_S
        sent = Announced(0, 1, second, at, 0)
        worker.ledger.announce(sent)
        for subscription in range(4):
            if (second + subscription) % 5:
                worker.copy(subscription, sent, at + MS)
        worker.copy(0, Announced(0, 5_000 + second, 0, at, 0), at + MS)
        worker.ledger.dropped(second % 4, at + 2 * MS)
        worker.ledger.subscribed(second % 4, at + 3 * MS)
        worker.ledger.close(at + 4 * MS)
        worker.ledger.take()
        ledger = worker.ledger
        most = max(most, ledger.open_books, len(ledger._history), len(ledger._streams), len(ledger._apart))
    assert most < 20
    worker.end()
    assert (len(worker.ledger._history), worker.ledger._apart, len(worker.ledger._streams)) == (0, {}, 1)


def test_who_joins_a_running_stream_is_on_the_fast_path_after_one_message() -> None:
    worker = Worker(2)
    worker.ledger.dropped(1, T)
    for seq in range(5):
        worker.copy(0, message(seq), T + 20 * MS)
    worker.ledger.subscribed(1, T + 30 * MS)
    sent = message(5)._replace(sched_ns=T + 31 * MS)
    worker.copy(1, sent, T + 40 * MS)
    assert worker.ledger.held[1] is worker.ledger.book(*sent, T + 40 * MS)
