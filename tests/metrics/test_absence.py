"""What was published while somebody was away, and what of it came after all."""

from __future__ import annotations

from loadtest.clock import NS_PER_S
from loadtest.metrics.absence import Absences
from loadtest.metrics.ledger import Announced, Ledger

CHANNEL, DEADLINE_NS = 0, 10 * NS_PER_S


def test_absence_begins_with_a_drop_and_ends_with_the_acknowledgement() -> None:
    absences = Absences()
    absences.returned(CHANNEL, 7, 100)  # the first time: nothing missed
    assert absences.missed(CHANNEL, 100) == 0
    absences.left(CHANNEL, 7, 200)
    assert absences.covers(7, 999)
    absences.left(CHANNEL, 8, 300)
    absences.returned(CHANNEL, 7, 400)
    assert [absences.missed(CHANNEL, at) for at in (199, 200, 300, 399, 400)] == [0, 1, 2, 2, 1]
    assert [absences.covers(7, at) for at in (199, 200, 399, 400)] == [False, True, True, False]
    absences.left(CHANNEL, 7, 500)
    absences.returned(CHANNEL, 7, 600)
    absences.prune(450)
    assert [absences.covers(7, at) for at in (300, 550)] == [False, True]
    absences.prune(601)
    assert not absences.covers(7, 550)
    assert absences.covers(8, 700)


def counts_after(*, replay: bool) -> dict[str, int]:
    """One subscriber is away for one of three messages; it may get that one when it is back, twice."""
    ledger = Ledger([0], DEADLINE_NS)
    ledger.grow(1)
    ledger.assign(0, CHANNEL)
    ledger.subscribed(0, 1)
    for seq, at_s in enumerate((1, 2, 3)):
        at_ns = at_s * NS_PER_S
        ledger.announce(Announced(CHANNEL, 1, seq, at_ns, 0))
        book = ledger.book(CHANNEL, 1, seq, at_ns, 0, at_ns)
        assert book is not None
        if seq == 0:
            ledger.received(0, book, at_ns)
            ledger.dropped(0, at_ns + 1)
        elif seq == 1 and replay:
            ledger.received(0, book, at_ns + 5)  # before the subscription is acknowledged again
            ledger.subscribed(0, at_ns + 6)
            ledger.received(0, book, at_ns + 7)
        elif seq == 1:
            ledger.subscribed(0, at_ns + 6)
        else:
            ledger.received(0, book, at_ns)
    ledger.close(60 * NS_PER_S)
    return ledger.take()["counts"]


def test_message_missed_while_away_is_caught_up_by_its_first_copy_and_never_lost() -> None:
    counts = counts_after(replay=True)
    assert (counts["expected"], counts["delivered"], counts["lost"]) == (2, 2, 0)
    assert (counts["missed_away"], counts["caught_up"]) == (1, 1)
    assert (counts["early"], counts["extra"]) == (1, 1)


def test_message_missed_while_away_and_never_replayed_is_missed() -> None:
    counts = counts_after(replay=False)
    assert (counts["expected"], counts["delivered"], counts["lost"]) == (2, 2, 0)
    assert (counts["missed_away"], counts["caught_up"]) == (1, 0)
