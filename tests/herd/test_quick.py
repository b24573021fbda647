"""The two ways to do the hottest steps, held to each other: the same sockets, the same calls, the same books."""

from __future__ import annotations

import errno
import os
import resource
import select
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from loadtest.clock import FakeClock, now_ns
from loadtest.herd import quick as quick_module
from loadtest.herd import sockets
from loadtest.herd.interner import Parcel
from loadtest.herd.quick import COMPILED, ENDED, INTERPRETED, LISTENING, MAX_EVENTS, READ_BYTES, Quick, best
from loadtest.herd.sockets import RESERVED_FILES, Target
from loadtest.metrics.book import Book
from tests.herd.peers import reset

pytestmark = pytest.mark.e2e


@pytest.fixture(params=["c", "python"])
def quick(request: pytest.FixtureRequest) -> Quick:
    if request.param == "c" and COMPILED is None:
        pytest.skip("installed without a C compiler")
    return COMPILED if request.param == "c" and COMPILED is not None else INTERPRETED


# --- sweep -----------------------------------------------------------------------------------------------------------


class Table:
    """Connected pairs on one epoll, and what a sweep over them did."""

    def __init__(self, way: Quick, size: int, groups: int = 1) -> None:
        self.way, self.groups = way, groups
        self.epoll = select.epoll()
        self.pairs = [socket.socketpair() for _ in range(size)]
        self.quick: list[int] = []
        for slot, (mine, _) in enumerate(self.pairs):
            mine.setblocking(False)
            self.epoll.register(mine.fileno(), LISTENING)
            self.quick.extend([-1] * (mine.fileno() + 1 - len(self.quick)))
            self.quick[mine.fileno()] = slot
        self.clock = FakeClock()
        self.parcels: dict[bytes, Parcel] = {}
        self.held: list[Book | None] = [None] * (size * groups)
        self.entered: list[tuple[int, int, int, int]] = []
        self.others: list[tuple[int, int, int, bytes | int | None, int | None]] = []

    def say(self, slot: int, data: bytes) -> None:
        self.pairs[slot][1].sendall(data)

    def knows(self, data: bytes, *books: Book) -> None:
        self.parcels[data] = Parcel(())
        self.parcels[data].books = books

    def enter(self, slot: int, subscription: int, book: Book, now: int) -> None:
        self.entered.append((slot, subscription, book.seq, now))

    def other(self, fd: int, mask: int, slot: int, data: bytes | int | None, now: int | None) -> None:
        self.others.append((fd, mask, slot, data, now))

    def sweep(self, other: Any = None) -> int:
        other = other or self.other
        sweep = self.way.sweeper(self.epoll, self.quick, self.held, self.groups, self.clock, self.enter, other)
        return sweep(self.parcels)

    def fd(self, slot: int) -> int:
        return self.pairs[slot][0].fileno()

    def close(self) -> None:
        self.epoll.close()
        for pair in self.pairs:
            for end in pair:
                end.close()


@pytest.fixture
def make(quick: Quick) -> Iterator[Any]:
    made: list[Table] = []

    def build(size: int = 1, groups: int = 1) -> Table:
        made.append(Table(quick, size, groups))
        return made[-1]

    yield build
    for table in made:
        table.close()


def book(seq: int, prev: Book | None, group: int = 0) -> Book:
    made = Book(0, group, 0, seq, 0, 0)
    made.prev = prev
    return made


def test_the_next_message_in_order_is_entered_where_it_belongs(make: Any) -> None:
    table = make(3, groups=2)
    first = book(0, None, group=1)
    second = book(1, first, group=1)
    table.knows(b"one", first)
    table.knows(b"two", second)
    for slot in (0, 2):
        table.say(slot, b"one")
    assert table.sweep() == 2
    assert table.held == [None, first, None, None, None, first]
    table.clock.advance(1.0)
    table.say(2, b"two")
    assert table.sweep() == 1
    assert table.held == [None, first, None, None, None, second]
    assert (first.times, second.times) == ([10**9, 10**9], [2 * 10**9])
    assert not table.entered
    assert not table.others


def test_what_is_not_next_in_order_goes_to_the_ledger(make: Any) -> None:
    table = make(1)
    first = book(0, None)
    table.knows(b"later", book(5, first), first)
    table.say(0, b"later")
    assert table.sweep() == 1
    assert table.entered == [(0, 0, 5, 10**9)]
    assert table.held == [first]  # the second of the two was


def test_everything_else_goes_to_the_herd(make: Any) -> None:
    table = make(5)
    table.knows(b"known", book(0, None))
    table.parcels[b"a ping"] = Parcel(())
    table.quick[table.fd(3)] = -1
    for slot, data in enumerate((b"unheard", b"a ping", b"known", b"not quick")):
        table.say(slot, data)
    table.pairs[2][1].close()
    table.pairs[4][1].close()
    assert table.sweep() == 5
    now = 10**9
    found = {row[0]: row[2:] for row in table.others}
    assert found == {
        table.fd(0): (0, b"unheard", now),
        table.fd(1): (1, b"a ping", now),
        table.fd(2): (2, None, now),  # entered, and the edge tells of an end
        table.fd(3): (-1, None, None),
        table.fd(4): (4, b"", None),
    }
    masks = {row[0]: row[1] for row in table.others}
    assert masks[table.fd(0)] == select.EPOLLIN
    assert masks[table.fd(4)] & ENDED
    assert table.pairs[3][0].recv(16) == b"not quick"


def test_errors_and_nothing_to_read_are_told_by_their_number(quick: Quick) -> None:
    table = Table(quick, 1)
    server = socket.create_server(("127.0.0.1", 0))
    mine = socket.create_connection(server.getsockname())
    peer, _ = server.accept()
    try:
        mine.setblocking(False)
        table.quick.extend([-1] * (mine.fileno() + 1 - len(table.quick)))
        table.quick[mine.fileno()] = 7
        table.epoll.register(mine.fileno(), LISTENING | select.EPOLLOUT)  # room to write, nothing to read
        assert table.sweep() == 1
        assert table.others.pop()[2:] == (7, errno.EAGAIN, None)
        reset(peer)
        assert select.select([table.epoll.fileno()], [], [], 2)[0]
        assert table.sweep() == 1
        assert table.others.pop()[2:] == (7, errno.ECONNRESET, None)
    finally:
        for sock in (mine, peer, server):
            sock.close()
        table.close()


def test_a_full_read_is_followed_up(make: Any) -> None:
    table = make(1)
    whole = b"x" * READ_BYTES
    table.knows(whole, book(0, None))
    table.pairs[0][1].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * READ_BYTES)
    table.say(0, whole)
    assert table.sweep() == 1
    assert [row[2:] for row in table.others] == [(0, None, 10**9)]


def test_what_becomes_ready_meanwhile_is_handled_too(make: Any) -> None:
    table = make(2)

    def other(fd: int, mask: int, slot: int, data: bytes | int | None, now: int | None) -> None:
        table.other(fd, mask, slot, data, now)
        if slot == 0:
            table.say(1, b"answer")

    table.say(0, b"question")
    assert table.sweep(other) == 2
    assert [row[3] for row in table.others] == [b"question", b"answer"]
    assert table.sweep() == 0


def test_a_turn_is_bounded(make: Any) -> None:
    table = make(2)

    def other(fd: int, mask: int, slot: int, data: bytes | int | None, now: int | None) -> None:
        table.say(1 - slot, b"for ever")  # each is answered by the other

    table.say(0, b"begin")
    assert table.sweep(other) == MAX_EVENTS


def test_a_slot_that_stops_being_quick_is_not_read(make: Any) -> None:
    table = make(2)

    def other(fd: int, mask: int, slot: int, data: bytes | int | None, now: int | None) -> None:
        table.other(fd, mask, slot, data, now)
        for number in (0, 1):
            table.quick[table.fd(number)] = -1

    table.say(0, b"a")
    table.say(1, b"b")
    assert table.sweep(other) == 2
    assert sorted(row[2] for row in table.others) in ([-1, 0], [-1, 1])


def test_what_is_raised_comes_through(make: Any) -> None:
    table = make(1)

    def other(*row: object) -> None:
        raise ZeroDivisionError

    table.say(0, b"x")
    with pytest.raises(ZeroDivisionError):
        table.sweep(other)
    table.knows(b"a book of a group that is not there", book(0, None, group=3))
    table.say(0, b"a book of a group that is not there")
    with pytest.raises(IndexError):
        table.sweep()


def test_the_monotonic_clock_is_the_herds_own(quick: Quick) -> None:
    table = Table(quick, 1)
    try:
        table.say(0, b"when")
        before = now_ns()
        table.clock = now_ns  # type: ignore[assignment]
        table.sweep()
        assert before <= (table.others[0][4] or 0) <= now_ns()
    finally:
        table.close()


# --- dial ------------------------------------------------------------------------------------------------------------


class Listener:
    """A server, and the poller of those who dial it."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.server = socket.create_server((host, 0), family=self.family)
        self.epoll = select.epoll()
        where = f"[{host}]" if ":" in host else host
        self.target = Target.of(f"ws://{where}:{self.server.getsockname()[1]}/")
        self.opened: list[socket.socket] = []

    def dial(self, way: Quick, source: str | None = None, first: bytes = b"", *, late: bool = False) -> Any:
        fd, sent, reason = way.dial(self.epoll, self.target, source, late, first)
        if fd >= 0:
            self.opened.append(socket.socket(fileno=fd))
        return fd, sent, reason

    def close(self) -> None:
        self.epoll.close()
        for sock in (*self.opened, self.server):
            sock.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.close()


def test_dial_connects_from_the_source_and_sends_what_goes_first(quick: Quick, listener: Listener) -> None:
    fd, sent, reason = listener.dial(quick, "127.0.0.9", b"GET /")
    assert (sent, reason) == (5, None)
    peer, address = listener.server.accept()
    with peer:
        assert address[0] == "127.0.0.9"
        assert peer.recv(16) == b"GET /"
        assert listener.epoll.poll(0) == []  # room to write is not told of
        peer.sendall(b"x")
        assert listener.epoll.poll(2) == [(fd, select.EPOLLIN)]
    sock = listener.opened[0]
    assert os.get_blocking(fd) is False
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    assert sock.get_inheritable() is False


def test_dial_over_loopback_does_not_pace(
    quick: Quick, listener: Listener, monkeypatch: pytest.MonkeyPatch, other_congestion: bytes
) -> None:
    monkeypatch.setattr(sockets, "_unpaced", lambda: other_congestion)
    listener.dial(quick)
    control = listener.opened[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
    assert control.rstrip(b"\0") == other_congestion


def test_acks_come_at_once_from_when_they_are_asked_for(quick: Quick, listener: Listener) -> None:
    fd, _, _ = listener.dial(quick, None, b"x", late=True)
    sock = listener.opened[0]
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK) == 0
    quick.ack_at_once(fd)
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK) == 1
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        quick.ack_at_once(1 << 20)


def test_dial_with_a_congestion_control_that_there_is_not_fails(
    quick: Quick, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "_unpaced", lambda: b"nonesuch")
    assert listener.dial(quick) == (-1, 0, "enoent")


@pytest.mark.parametrize("first", [b"", bytes(16 << 20)], ids=["nothing", "too much"])
def test_dial_watches_for_room_unless_all_is_sent(quick: Quick, listener: Listener, first: bytes) -> None:
    fd, sent, reason = listener.dial(quick, None, first, late=True)
    assert reason is None
    assert 0 <= sent < max(1, len(first))
    peer, _ = listener.server.accept()
    with peer:
        left = sent
        while left:
            left -= len(peer.recv(min(left, 1 << 20)))
        assert listener.epoll.poll(2) == [(fd, select.EPOLLOUT)]


def test_dial_tells_why_it_failed_and_leaves_nothing_open(quick: Quick, listener: Listener) -> None:
    listener.server.close()
    before = socket.socket()
    free = before.fileno()
    before.close()
    assert listener.dial(quick, None, b"x") == (-1, 0, "refused")
    assert listener.dial(quick, "192.0.2.1", b"x") == (-1, 0, "no_local_port")  # not an address of ours
    after = socket.socket()
    assert after.fileno() == free
    after.close()


def test_dial_keeps_some_files_free(quick: Quick, listener: Listener) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    sample = socket.socket()
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (sample.fileno() + RESERVED_FILES, hard))
        assert listener.dial(quick) == (-1, 0, "no_file_descriptor")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        sample.close()


@pytest.mark.parametrize(("host", "source"), [("::1", "127.0.0.9"), ("::1", None), ("127.0.0.1", "fd00::1")])
def test_dial_uses_a_source_of_the_targets_family_only(quick: Quick, host: str, source: str | None) -> None:
    listener = Listener(host)
    try:
        assert listener.dial(quick, source, b"x")[1:] == (1, None)
    finally:
        listener.close()


def test_the_variable_leaves_the_compiled_one_unused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(quick_module.VARIABLE, "0")
    assert best() is INTERPRETED
    monkeypatch.delenv(quick_module.VARIABLE)
    assert best() is (COMPILED or INTERPRETED)
