from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loadtest.clock import NS_PER_S
from loadtest.metrics.book import CUT, FEW, Book, Stream, latencies_of
from loadtest.metrics.histogram import Histogram

times = st.lists(st.integers(0, 1 << 36), min_size=1, max_size=4 * FEW).map(sorted)


def book(seq: int) -> Book:
    return Book(0, 0, 1, seq, 100 + seq, 0)


@given(times, st.integers(-1000, 5_000))
def test_latencies_of_many_equal_those_recorded_one_by_one(values: list[int], zero_ns: int) -> None:
    one_by_one = Histogram()
    for value in values:
        one_by_one.record(value - zero_ns)
    assert latencies_of(values, zero_ns) == one_by_one


def test_latencies_at_the_edges_of_doublings() -> None:
    values = sorted({(1 << k) + d for k in range(40) for d in (-1, 0, 1)})
    one_by_one = Histogram()
    one_by_one.record_many(values)
    assert latencies_of(values, 0) == one_by_one


@given(st.lists(times, min_size=1, max_size=4), st.integers(0, 1 << 35), st.integers(0, 100))
def test_folding_splits_at_the_deadline_to_the_nanosecond(parts: list[list[int]], deadline: int, late: int) -> None:
    message = Book(0, 0, 1, 0, 50, late)
    corrected, uncorrected, expected, twin = Histogram(), Histogram(), Histogram(), Histogram()
    overdue = 0
    for part in parts:
        message.times.extend(50 + value for value in part)
        message.fold(deadline, corrected, uncorrected)
        for value in part:
            if value <= deadline:
                expected.record(value)
                twin.record(value - late)
            else:
                overdue += 1
    assert message.latencies == corrected == expected
    assert uncorrected == twin
    assert (message.delivered, message.overdue, message.times) == (expected.count, overdue, [])
    assert message.noted == ({"late": overdue} if overdue else {})


def test_books_are_linked_whatever_the_order_they_come_in() -> None:
    stream, books = Stream(), [book(seq) for seq in range(4)]
    for seq in (2, 0, 3, 1):
        stream.add(books[seq])
    assert [each.prev for each in books] == [CUT, *books[:3]]


def test_closing_keeps_the_highest_as_a_link_and_cuts_its_past() -> None:
    stream, books = Stream(), [book(seq) for seq in range(3)]
    stream.add(books[0])
    stream.add(books[1])
    stream.close(books[0])
    stream.close(books[1])
    stream.settle()
    stream.add(books[2])
    assert books[2].prev is books[1] is stream.tail
    assert books[0].prev is books[1].prev is CUT
    assert (stream.floor, list(stream.books)) == (1, [2])


def test_the_floor_waits_for_an_open_book_below() -> None:
    stream, books = Stream(), [book(seq) for seq in range(4)]
    for each in books[:3]:
        stream.add(each)
    stream.close(books[0])
    stream.close(books[2])
    stream.settle()
    assert (stream.floor, [stream.is_old(seq) for seq in range(4)]) == (0, [True, False, True, False])
    stream.close(books[1])
    stream.settle()
    assert (stream.floor, stream.is_old(3)) == (2, False)


def test_a_discarded_book_leaves_its_number_to_the_true_one() -> None:
    stream, books = Stream(), [book(seq) for seq in range(3)]
    for each in books:
        stream.add(each)
    stream.discard(books[1])
    assert books[2].prev is CUT
    assert (books[1].void, stream.is_old(1), stream.find(1)) == (True, False, None)
    true = Book(0, 0, 1, 1, NS_PER_S, 0)
    stream.add(true)
    assert (true.prev, books[2].prev) == (books[0], true)
