"""The outgoing side: counted, and slow readers are dropped after the broadcast, not inside it."""

from __future__ import annotations

from collections.abc import Callable

from reference_gateway.gateway.measures import Measures, prometheus
from reference_gateway.gateway.writer import SLICE, Writer


class Reader:
    def __init__(self, writer: Writer, *, slow: bool) -> None:
        self.writer, self.slow = writer, slow
        self.written: list[bytes] = []
        self.dropped = 0

    @property
    def transport(self) -> Reader:
        return self

    def write(self, data: bytes) -> None:
        self.written.append(data)
        if self.slow:
            self.writer.overflow(self)

    def drop_slow(self) -> None:
        self.dropped += 1


def test_slow_reader_is_dropped_after_the_broadcast_and_others_get_all() -> None:
    later: list[Callable[[], None]] = []
    measures = Measures()
    writer = Writer(measures, later.append)
    readers = [Reader(writer, slow=n % 2 == 0) for n in range(10)]
    writer.broadcast(readers, b"1234")
    assert [reader.written for reader in readers] == [[b"1234"]] * 10
    assert sum(reader.dropped for reader in readers) == 0
    assert len(later) == 1
    later.pop()()
    assert [reader.dropped for reader in readers] == [1, 0] * 5
    assert (measures.messages_out, measures.bytes_out, measures.broadcasts) == (10, 40, 1)
    writer.send(readers[0], b"5")
    assert len(later) == 1
    assert (measures.messages_out, measures.bytes_out) == (11, 41)


def test_broadcasts_to_many_go_out_in_slices_and_in_order() -> None:
    later: list[Callable[[], None]] = []
    measures = Measures()
    writer = Writer(measures, later.append)
    readers = {Reader(writer, slow=False) for _ in range(2 * SLICE + 10)}
    few = {Reader(writer, slow=False)}
    everybody = readers | few
    writer.broadcast(readers, b"1")
    writer.broadcast(everybody, b"2")
    writer.broadcast(few, b"3")
    assert sum(len(reader.written) for reader in everybody) == 0
    gone = next(iter(readers))
    everybody.discard(gone)
    turns = 0
    while later:
        turns += 1
        written = sum(len(reader.written) for reader in readers | few)
        later.pop()()
        assert 0 < sum(len(reader.written) for reader in readers | few) - written <= SLICE
    assert turns == 5
    assert all(reader.written == [b"1", b"2"] for reader in readers - {gone})
    assert gone.written == [b"1"]
    assert [reader.written for reader in few] == [[b"2", b"3"]]
    assert measures.messages_out == 2 * (2 * SLICE + 10) + 1
    writer.broadcast(few, b"4")
    assert [reader.written for reader in few] == [[b"2", b"3", b"4"]]
    assert not later


def test_measures_are_written_as_prometheus_text() -> None:
    measures = Measures()
    measures.accepted = 12_345_678
    measures.closes[1001] += 2
    lines = prometheus(measures, {"connections": 19_000_001}, {"node": 'a"\\\n'}).decode().splitlines()
    assert 'rg_connections{node="a\\"\\\\\\n"} 19000001' in lines
    assert 'rg_accepted_total{node="a\\"\\\\\\n"} 12345678' in lines
    assert 'rg_closes_total{node="a\\"\\\\\\n",code="1001"} 2' in lines
    assert all(line.startswith(("# TYPE rg_", "rg_")) for line in lines)
