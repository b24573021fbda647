"""What a client offers when it comes back: only what the server named, and the last offset it has."""

from __future__ import annotations

from loadtest.herd.resuming import Resuming
from loadtest.metrics.book import Book
from loadtest.metrics.ledger import Ledger
from loadtest.protocol.dialect import Resumption

SLOT = 3


def book(offset: str = "", seq: int = 0) -> Book:
    made = Book(0, 0, 1, seq, 0, 0)
    made.offset = offset
    return made


def resuming_of(groups: int = 2) -> tuple[Resuming, Ledger]:
    ledger = Ledger([0, 1], 10**9)
    ledger.grow((SLOT + 1) * groups)
    return Resuming(ledger, groups), ledger


def test_server_without_recovery_is_offered_nothing() -> None:
    resuming, ledger = resuming_of()
    resuming.joined(SLOT, "")
    message = book()
    resuming.read(SLOT, message, ({"text": "x"}, "17"))
    ledger.held[SLOT * 2] = message
    resuming.ended(SLOT)
    assert message.offset == ""
    assert resuming.offer(SLOT) is None


def test_offer_is_the_greatest_offset_among_what_the_slot_holds_or_was_replayed() -> None:
    resuming, ledger = resuming_of()
    resuming.joined(SLOT, "pid-1")
    assert resuming.offer(SLOT) == Resumption("pid-1", None)
    message = book()
    resuming.read(SLOT, message, ({"text": "x"}, "99"))
    assert message.offset == "99"
    ledger.held[SLOT * 2] = message
    ledger.held[SLOT * 2 + 1] = book("101")
    resuming.ended(SLOT)
    assert resuming.offer(SLOT) == Resumption("pid-1", "101")
    resuming.joined(SLOT, "pid-1")  # recovered: the offset still stands
    resuming.entered(SLOT, book("100"))
    assert resuming.offer(SLOT) == Resumption("pid-1", "101")
    resuming.entered(SLOT, book("102"))
    assert resuming.offer(SLOT) == Resumption("pid-1", "102")


def test_new_session_begins_without_an_offset() -> None:
    resuming, _ = resuming_of()
    resuming.joined(SLOT, "pid-1")
    resuming.entered(SLOT, book("5"))
    resuming.joined(SLOT, "pid-2")
    assert resuming.offer(SLOT) == Resumption("pid-2", None)


def test_argument_that_is_no_offset_is_not_taken_for_one() -> None:
    resuming, _ = resuming_of()
    resuming.joined(SLOT, "pid-1")
    for args in ((), ("only",), ({"text": "x"}, 7)):
        message = book()
        resuming.read(SLOT, message, args)
        assert message.offset == ""
