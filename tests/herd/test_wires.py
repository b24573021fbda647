"""Wires over real loopback sockets; the peer is driven by hand, the poller is a real epoll."""

from __future__ import annotations

import errno
import os
import resource
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

import pytest

from loadtest.clock import NS_PER_MS, now_ns
from loadtest.herd import sockets
from loadtest.herd.poller import EPOLLET, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP
from loadtest.herd.queue_delay import QueueDelay
from loadtest.herd.quick import INTERPRETED, READ_BYTES
from loadtest.herd.sockets import Target
from loadtest.herd.wires import MAX_OUTBOX_BYTES, MOST_READS, Wires
from tests.herd.peers import accept, listen, reset
from tests.herd.test_tls import TlsServer, client_context

pytestmark = pytest.mark.e2e

BIG = bytes(range(256)) * (1 << 14)
"""4 MiB: more than the kernel takes at once."""


class WatchedPoller:
    """A real epoll that writes down what it is asked to watch."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self.masks: list[tuple[str, int]] = []
        self.poll, self.close, self.fileno = self._epoll.poll, self._epoll.close, self._epoll.fileno
        self.unregister = self._epoll.unregister

    def register(self, fd: int, eventmask: int) -> None:
        self.masks.append(("register", eventmask))
        self._epoll.register(fd, eventmask)

    def modify(self, fd: int, eventmask: int) -> None:
        self.masks.append(("modify", eventmask))
        self._epoll.modify(fd, eventmask)


LISTENING = EPOLLET | EPOLLIN | EPOLLRDHUP
WATCHED = LISTENING | EPOLLOUT


class Pair:
    """Wires with some open slots, and the other end of each."""

    def __init__(self, host: str = "127.0.0.1", backlog: int = 128) -> None:
        self.server = listen(host, backlog=backlog)
        self.epoll = WatchedPoller()
        self.queue_delay = QueueDelay()
        self.wires = Wires(self.epoll, self.queue_delay, quick=INTERPRETED)  # its calls are looked at
        self.wires.grow(8)
        name = f"[{host}]" if ":" in host else host
        self.target = Target.of(f"ws://{name}:{self.server.getsockname()[1]}/")
        self.peers: list[socket.socket] = []

    def open(self, slot: int = 0, source: str | None = None) -> socket.socket:
        assert self.wires.open(slot, self.target, source) == (False, None)
        self.peers.append(accept(self.server))
        self.wait(slot, EPOLLOUT)
        assert self.wires.error(slot) is None
        return self.peers[-1]

    def ask(self, first: bytes, slot: int = 0) -> socket.socket:
        """Open a connection that says `first` at once."""
        assert self.wires.open(slot, self.target, None, first) == (True, None)
        self.peers.append(accept(self.server))
        return self.peers[-1]

    def wait(self, slot: int, mask: int) -> int:
        """Wait for an edge of `slot` that has `mask`; return all it had."""
        seen = 0
        for _ in range(200):
            for fd, got in self.epoll.poll(0.02):
                if self.wires.slot_of[fd] == slot:
                    seen |= got
            if seen & mask:
                return seen
        raise AssertionError(f"no edge {mask:#x}, only {seen:#x}")

    def stop(self) -> None:
        for slot in range(8):
            self.wires.close(slot)
        for peer in self.peers:
            peer.close()
        self.server.close()
        self.epoll.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.stop()


def drain(peer: socket.socket, size: int, between: Callable[[], object]) -> bytes:
    """Read `size` bytes, doing `between` after each piece."""
    got = bytearray()
    while len(got) < size:
        got += peer.recv(1 << 20)
        between()
    return bytes(got)


def test_bytes_go_both_ways(pair: Pair) -> None:
    peer = pair.open()
    assert pair.wires.send(0, b"ping") is None
    assert peer.recv(10) == b"ping"
    peer.sendall(b"pong")
    pair.wait(0, EPOLLIN)
    assert pair.wires.receive(0) == (b"pong", None)
    assert pair.wires.receive(0) == (b"", None)


@pytest.mark.parametrize(("host", "source"), [("127.0.0.1", "127.1.0.1"), ("::1", "::1")])
def test_source_address_is_bound(host: str, source: str) -> None:
    pair = Pair(host)
    try:
        assert pair.open(0, source).getpeername()[0] == source
    finally:
        pair.stop()


def test_refused_comes_as_an_event_with_its_reason(pair: Pair) -> None:
    pair.server.close()
    _, reason = pair.wires.open(0, pair.target, None)
    if reason is None:
        pair.wait(0, EPOLLHUP)
        reason = pair.wires.error(0)
    assert reason == "refused"


def test_refused_is_told_at_once_where_something_is_to_be_said(pair: Pair) -> None:
    pair.server.close()
    assert pair.wires.open(0, pair.target, None, b"first") == (False, "refused")
    assert not pair.wires.is_open(0)
    assert pair.epoll.masks == []
    assert set(pair.wires.slot_of) <= {-1}


# --- asking at once --------------------------------------------------------------------------------------------------


def test_first_bytes_leave_at_once_and_nothing_waits_for_room(pair: Pair) -> None:
    peer = pair.ask(b"first")
    assert peer.recv(10) == b"first"
    assert pair.epoll.masks == [("register", LISTENING)]
    assert pair.epoll.poll(0) == [], "no edge is spent on it"
    peer.sendall(b"answer")
    assert not pair.wait(0, EPOLLIN) & EPOLLOUT
    assert pair.wires.receive(0, to_the_end=False) == (b"answer", None)
    pair.wires.make_quick(0, on=True)
    assert pair.wires.quick[pair.wires._fd[0]] == 0


def test_answer_and_end_that_come_before_the_poller_watches_are_told(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    register = pair.epoll.register

    def late(fd: int, eventmask: int) -> None:
        peer = accept(pair.server)
        peer.sendall(b"answer")
        peer.close()
        poll = select.poll()
        poll.register(fd, select.POLLRDHUP)
        assert poll.poll(2000)
        register(fd, eventmask)

    monkeypatch.setattr(pair.epoll, "register", late)
    assert pair.wires.open(0, pair.target, None, b"") == (False, None)
    pair.wires.close(0)
    assert pair.wires.open(0, pair.target, None, b"first") == (True, None)
    assert pair.wait(0, EPOLLRDHUP) & EPOLLIN
    data, end = pair.wires.receive(0)
    assert data == b"answer" or end == "reset"  # what was not read there may make it a reset
    assert end in ("eof", "reset")


def test_first_bytes_that_do_not_fit_wait_for_room_and_leave_in_order(pair: Pair) -> None:
    peer = pair.ask(BIG)
    assert pair.epoll.masks == [("register", WATCHED)]
    assert 0 < len(pair.wires._outbox[0]) < len(BIG)
    pair.wires.make_quick(0, on=True)
    assert pair.wires.quick[pair.wires._fd[0]] == -1
    assert pair.wires.send(0, b"the end") is None
    assert drain_by_edges(pair, peer, len(BIG) + 7) == BIG + b"the end"
    assert pair.wires.quick[pair.wires._fd[0]] == 0


def drain_by_edges(pair: Pair, peer: socket.socket, size: int) -> bytes:
    """Read `size` bytes; flush only when an edge says that there is room."""
    got = bytearray()
    peer.setblocking(False)
    for _ in range(20_000):
        with suppress(BlockingIOError):
            got += peer.recv(1 << 20)
        for _, mask in pair.epoll.poll(0.001):
            if mask & EPOLLOUT:
                assert pair.wires.flush(0) is None
        if len(got) == size:
            return bytes(got)
    raise AssertionError(f"{len(got)} of {size} bytes came: an edge was lost")


@pytest.mark.parametrize("first", [b"first", b""], ids=["asked at once", "not asked"])
def test_output_that_does_not_fit_later_gets_its_edges(pair: Pair, first: bytes) -> None:
    peer = pair.ask(first) if first else pair.open()
    for round_ in range(2):
        pair.epoll.masks.clear()
        expected = b"" if round_ else first
        while 0 not in pair.wires._outbox:
            assert pair.epoll.masks == []
            pair.wires.send(0, BIG[: 1 << 20])
            expected += BIG[: 1 << 20]
        assert pair.epoll.masks == [("modify", WATCHED)]
        assert drain_by_edges(pair, peer, len(expected)) == expected
        assert 0 not in pair.wires._outbox


def test_output_waiting_hides_no_input(pair: Pair) -> None:
    peer = pair.ask(b"first")
    peer.sendall(b"before")
    pair.wait(0, EPOLLIN)
    pair.wires.send(0, BIG)  # what came before is not read yet: the new watch tells of it again
    pair.wait(0, EPOLLIN)
    assert pair.wires.receive(0, to_the_end=False) == (b"before", None)
    peer.sendall(b"after")
    pair.wait(0, EPOLLIN)
    assert pair.wires.receive(0, to_the_end=False) == (b"after", None)


def test_connection_that_does_not_stand_at_once_is_told_by_the_poller() -> None:
    pair = Pair(backlog=0)
    crowd = []
    try:
        for _ in range(16):  # until the kernel drops a SYN: the backlog is full
            crowd.append(socket.socket())
            crowd[-1].setblocking(False)
            crowd[-1].connect_ex(pair.server.getsockname())
            try:
                crowd[-1].getpeername()
            except OSError:
                break
        assert pair.wires.open(0, pair.target, None, b"first") == (False, None)
        assert pair.wires.is_open(0)
        assert 0 not in pair.wires._outbox
        assert pair.epoll.masks == [("register", WATCHED)]
        assert pair.epoll.poll(0) == []
        assert pair.wires.error(0) == "enotconn"
        edges: list[tuple[int, int]] = []
        for _ in range(400):  # the kernel tries again after a second
            with suppress(BlockingIOError):
                pair.peers.append(pair.server.accept()[0])
            edges = pair.epoll.poll(0.01)
            if edges:
                break
        assert [(fd, mask & WATCHED) for fd, mask in edges] == [(pair.wires._fd[0], EPOLLOUT)]
        assert pair.wires.error(0) is None
        assert pair.wires.send(0, b"first") is None
    finally:
        for sock in crowd:
            sock.close()
        pair.stop()


# --- short reads -----------------------------------------------------------------------------------------------------


def test_short_read_ends_the_reading_only_without_a_hang_up(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []
    read = os.read
    monkeypatch.setattr("loadtest.herd.wires.os.read", lambda fd, size: reads.append(size) or read(fd, size))
    peer = pair.ask(b"first")
    for to_the_end, count in ((False, 1), (True, 2)):
        peer.sendall(b"x")
        pair.wait(0, EPOLLIN)
        reads.clear()
        assert pair.wires.receive(0, to_the_end=to_the_end) == (b"x", None)
        assert len(reads) == count


def test_full_read_is_never_the_last(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadtest.herd.wires.READ_BYTES", 4)
    peer = pair.ask(b"first")
    peer.sendall(b"0123456789")
    pair.wait(0, EPOLLIN)
    assert pair.wires.receive(0, to_the_end=False) == (b"0123456789", None)
    peer.sendall(b"01234567")
    pair.wait(0, EPOLLIN)
    assert pair.wires.receive(0, to_the_end=False) == (b"01234567", None)


@pytest.mark.parametrize("end", ["eof", "reset"])
def test_end_that_comes_between_edge_and_short_read_has_an_edge_of_its_own(pair: Pair, end: str) -> None:
    peer = pair.ask(b"first")
    peer.recv(10)
    peer.sendall(b"last ")
    assert not pair.wait(0, EPOLLIN) & (EPOLLRDHUP | EPOLLHUP)
    peer.sendall(b"words")
    if end == "eof":
        peer.close()
        poll = select.poll()
        poll.register(pair.wires._fd[0], select.POLLRDHUP)
        assert poll.poll(2000)
        assert pair.wires.receive(0, to_the_end=False) == (b"last words", None)
    else:
        assert pair.wires.receive(0, to_the_end=False)[1] is None
        reset(peer)
    pair.wait(0, EPOLLRDHUP)
    assert pair.wires.receive(0, to_the_end=True)[1] == end


def test_what_does_not_fit_waits_and_leaves_in_order_when_the_peer_reads(pair: Pair) -> None:
    peer = pair.open()
    assert pair.wires.send(0, BIG) is None
    assert pair.wires.send(0, b"the end") is None
    sent = BIG + b"the end"
    assert 0 in pair.wires._outbox
    got = drain(peer, len(sent), lambda: pair.wires.flush(0))
    assert got == sent
    assert 0 not in pair.wires._outbox
    assert pair.wires.flush(0) is None


def test_peer_that_reads_again_makes_an_edge(pair: Pair) -> None:
    peer = pair.open()
    pair.wires.send(0, BIG)
    assert pair.epoll.poll(0) == []
    got = 0
    while got < len(BIG) // 2:
        got += len(peer.recv(1 << 20))
        if pair.epoll.poll(0.001):
            break
    assert pair.wires.flush(0) is None


def test_slot_with_waiting_output_is_not_quick_until_it_left(pair: Pair) -> None:
    peer = pair.open()
    pair.wires.make_quick(0, on=True)
    fd = pair.wires._fd[0]
    assert pair.wires.quick[fd] == 0
    pair.wires.send(0, BIG)
    assert pair.wires.quick[fd] == -1
    pair.wires.make_quick(0, on=True)
    assert pair.wires.quick[fd] == -1
    drain(peer, len(BIG), lambda: pair.wires.flush(0))
    assert pair.wires.quick[fd] == 0


def test_slot_that_is_not_to_be_quick_does_not_become_so_by_flushing(pair: Pair) -> None:
    peer = pair.open()
    pair.wires.send(0, BIG)
    drain(peer, len(BIG), lambda: pair.wires.flush(0))
    assert pair.wires.quick[pair.wires._fd[0]] == -1


def test_outbox_is_bounded(pair: Pair) -> None:
    pair.open()
    pair.wires.send(0, BIG)
    reasons = [pair.wires.send(0, BIG) for _ in range(1 + MAX_OUTBOX_BYTES // len(BIG))]
    assert reasons[-1] == "outbox_full"


def test_write_to_a_peer_that_reset_is_told(pair: Pair) -> None:
    reset(pair.open())
    pair.wait(0, EPOLLHUP)
    assert pair.wires.send(0, b"x") == "reset"


def test_flush_to_a_peer_that_reset_is_told(pair: Pair) -> None:
    peer = pair.open()
    pair.wires.send(0, BIG)
    reset(peer)
    pair.wait(0, EPOLLHUP)
    assert pair.wires.flush(0) == "reset"


def test_data_and_end_in_one_edge(pair: Pair) -> None:
    peer = pair.open()
    peer.sendall(b"last words")
    peer.close()
    pair.wait(0, EPOLLRDHUP)
    assert pair.wires.receive(0) == (b"last words", "eof")


def test_data_before_a_reset_is_kept(pair: Pair) -> None:
    peer = pair.open()
    peer.sendall(b"last words")
    pair.wait(0, EPOLLIN)
    reset(peer)
    pair.wait(0, EPOLLHUP)
    data, end = pair.wires.receive(0)
    assert end == "reset"
    assert data in (b"last words", b"")


def test_hang_up_is_an_edge_of_its_own(pair: Pair) -> None:
    peer = pair.open()
    peer.shutdown(socket.SHUT_WR)
    assert pair.wait(0, EPOLLRDHUP) & EPOLLIN
    assert pair.wires.receive(0) == (b"", "eof")


def test_flood_is_read_in_bounded_portions_with_a_fresh_edge_for_the_rest(pair: Pair) -> None:
    peer = pair.open()
    pair.wires.send(0, b"go")
    peer.recv(2)
    size = MOST_READS * READ_BYTES + READ_BYTES // 2
    got = bytearray()
    peer.setblocking(False)
    sent = longest = 0
    for _ in range(10_000):
        if sent < size:
            with suppress(BlockingIOError):
                sent += peer.send(bytes(size - sent))
        if not pair.epoll.poll(0.01):
            continue
        data, end = pair.wires.receive(0)
        assert end is None
        longest = max(longest, len(data))
        got += data
        if len(got) == size:
            break
    assert len(got) == size
    assert longest <= MOST_READS * READ_BYTES


def test_reading_stops_at_the_bound_and_the_rest_is_told_again(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadtest.herd.wires.READ_BYTES", 4)
    monkeypatch.setattr("loadtest.herd.wires.MOST_READS", 2)
    peer = pair.open()
    peer.sendall(b"0123456789")
    pair.wait(0, EPOLLIN)
    assert pair.wires.receive(0) == (b"01234567", None)
    pair.wait(0, EPOLLIN)
    assert pair.wires.receive(0) == (b"89", None)


def test_descriptor_number_that_comes_back_belongs_to_its_new_slot(pair: Pair) -> None:
    pair.open(0)
    pair.wires.make_quick(0, on=True)
    pair.wires.send(0, BIG)
    fd = pair.wires._fd[0]
    pair.wires.close(0)
    assert (pair.wires.slot_of[fd], pair.wires.quick[fd]) == (-1, -1)
    peer = pair.open(5)
    assert pair.wires._fd[5] == fd, "the kernel gives the lowest free number"
    assert pair.wires.slot_of[fd] == 5
    assert pair.wires.quick[fd] == -1, "quick is earned anew"
    assert pair.wires.send(5, b"new") is None
    assert peer.recv(10) == b"new"


def test_slot_that_is_opened_again_has_nothing_of_before(pair: Pair) -> None:
    pair.open(0)
    pair.wires.make_quick(0, on=True)
    pair.wires.send(0, BIG)
    pair.wires.close(0)
    peer = pair.open(0)
    assert pair.wires.send(0, b"new") is None
    assert peer.recv(10) == b"new"
    pair.wires.send(0, BIG)
    drain(peer, len(BIG), lambda: pair.wires.flush(0))
    assert pair.wires.quick[pair.wires._fd[0]] == -1


def test_tls_session_over_a_real_connection(pair: Pair) -> None:
    peer, server = pair.open(), TlsServer()
    target = replace(pair.target, tls=client_context(), server_name="gateway.example")
    assert pair.wires.begin_tls(0, target) is None
    for _ in range(5):
        peer.sendall(server.take(peer.recv(1 << 16)))
        pair.wait(0, EPOLLIN)
        assert pair.wires.receive(0) == (b"", None)
        if pair.wires.is_secure(0):
            break
    tickets = server.take(peer.recv(1 << 16))
    pair.wires.make_quick(0, on=True)
    assert pair.wires.quick[pair.wires._fd[0]] == -1, "what is sealed cannot be read directly"
    assert pair.wires.send(0, b"") is None
    assert pair.wires.send(0, b"hello") is None
    assert server.read(peer.recv(1 << 16)) == b"hello"
    peer.sendall(tickets + server.say(b"welcome") + server.goodbye())
    pair.wait(0, EPOLLIN)
    assert pair.wires.receive(0) == (b"welcome", "eof")


@pytest.mark.parametrize(("name", "reason"), [("elsewhere.example", "tls_certificate"), (".bad", "tls_server_name")])
def test_tls_that_fails_has_its_class_and_the_server_hears_of_it(pair: Pair, name: str, reason: str) -> None:
    peer, server = pair.open(), TlsServer()
    ended = pair.wires.begin_tls(0, replace(pair.target, tls=client_context(), server_name=name))
    if ended is None:
        peer.sendall(server.take(peer.recv(1 << 16)))
        pair.wait(0, EPOLLIN)
        data, ended = pair.wires.receive(0)
        assert data == b""
        assert peer.recv(1 << 16)[:1] == b"\x15", "an alert"
    assert ended == reason


def test_close_is_idempotent_and_leaves_no_event(pair: Pair) -> None:
    peer = pair.open()
    pair.wires.close(0)
    pair.wires.close(0)
    assert not pair.wires.is_open(0)
    assert peer.recv(1) == b""
    peer.close()
    assert pair.epoll.poll(0) == []


def test_close_with_reset(pair: Pair) -> None:
    peer = pair.open()
    pair.wires.close(0, reset=True)
    with pytest.raises(ConnectionResetError):
        peer.recv(1)


def test_out_of_descriptors_is_told_and_the_slot_stays_free(pair: Pair) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open(os.devnull, os.O_RDONLY)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
        assert pair.wires.open(0, pair.target, None) == (False, "no_file_descriptor")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        os.close(lowest)
    assert not pair.wires.is_open(0)
    assert pair.open(0)


def test_poller_that_refuses_closes_what_was_opened(pair: Pair) -> None:
    class Full:
        def register(self, fd: int, eventmask: int) -> None:
            raise OSError(errno.ENOSPC, "no more watches")

    wires = Wires(Full(), QueueDelay(), quick=INTERPRETED)  # type: ignore[arg-type]
    wires.grow(1)
    for first in (b"", b"first", BIG):
        assert wires.open(0, pair.target, None, first) == (False, "enospc")
        assert not wires.is_open(0)
        assert set(wires.slot_of) <= {-1}
        assert not wires._outbox


# --- the receive queue's delay ---------------------------------------------------------------------------------------


def waited_ms(pair: Pair) -> list[float]:
    """Return what the reads since the last call had waited, ascending, each in ms."""
    delays = pair.queue_delay.take().delays
    return [value_ns / NS_PER_MS for value_ns in delays.at_ranks_ns(range(1, delays.count + 1))]


def speak(pair: Pair, peer: socket.socket, data: bytes = b"x", slot: int = 0, wait_s: float = 0.0) -> float:
    """Have the peer send `data`, let it wait, and read it; return how long it waited at least, in ms."""
    peer.sendall(data)
    sent_ns = now_ns()
    pair.wait(slot, EPOLLIN)
    time.sleep(wait_s)  # what is measured
    at_least_ms = (now_ns() - sent_ns) / NS_PER_MS
    assert pair.wires.receive(slot, to_the_end=False) == (data, None)
    return at_least_ms


@pytest.mark.usefixtures("stamping")
def test_a_sampled_slot_tells_how_long_its_bytes_had_waited(pair: Pair) -> None:
    peer = pair.open()
    pair.wires.sample(0)
    before_ns = now_ns()
    at_least = sorted(speak(pair, peer, wait_s=wait_s) for wait_s in (0.0, 0.03, 0.06))
    at_most_ms = (now_ns() - before_ns) / NS_PER_MS
    told = waited_ms(pair)
    assert len(told) == 3
    for told_ms, least_ms, most_ms in zip(told, at_least, [*at_least[1:], at_most_ms], strict=True):
        assert least_ms - 0.01 <= told_ms < most_ms


@pytest.mark.usefixtures("stamping")
def test_stamps_come_over_ipv6_too() -> None:
    pair = Pair("::1")
    peer = pair.open()
    pair.wires.sample(0)
    at_least_ms = speak(pair, peer, wait_s=0.01)
    assert at_least_ms - 0.01 <= waited_ms(pair)[0] < at_least_ms + 1_000
    pair.stop()


@pytest.mark.usefixtures("stamping")
def test_bytes_that_piled_up_count_once_and_by_the_newest(pair: Pair) -> None:
    peer = pair.open()
    pair.wires.sample(0)
    peer.sendall(b"old")
    time.sleep(0.05)  # what is measured
    peer.sendall(b"new")
    pair.wait(0, EPOLLIN)
    assert pair.wires.receive(0, to_the_end=False) == (b"oldnew", None)
    (told_ms,) = waited_ms(pair)
    assert told_ms < 40


def test_a_sampled_slot_is_never_quick_until_it_is_another_connections(pair: Pair) -> None:
    peer = pair.open()
    fd = pair.wires._fd[0]
    pair.wires.make_quick(0, on=True)
    assert pair.wires.quick[fd] == 0
    pair.wires.sample(0)
    assert pair.wires.quick[fd] == -1
    pair.wires.make_quick(0, on=True)
    assert pair.wires.quick[fd] == -1
    pair.wires.close(0)
    peer.close()
    assert pair.queue_delay.watched == set()
    pair.open()
    pair.wires.make_quick(0, on=True)
    assert pair.wires.quick[pair.wires._fd[0]] == 0


def test_what_ends_a_sampled_connection_is_told_as_of_any(pair: Pair) -> None:
    for end, told in ((socket.socket.close, "eof"), (reset, "reset")):
        peer = pair.open()
        pair.wires.sample(0)
        end(peer)
        pair.wait(0, EPOLLRDHUP | EPOLLHUP)
        assert pair.wires.receive(0) == (b"", told)
        pair.wires.close(0)
    assert waited_ms(pair) == []


@pytest.mark.usefixtures("stamping")
def test_only_the_sample_is_stamped_and_a_slot_without_connection_is_not(pair: Pair) -> None:
    pair.wires.sample(3)
    assert pair.queue_delay.watched == set()
    pair.wires.grow(10_000)
    peer = pair.open(1)
    assert not pair.queue_delay.wants(1)
    pair.wires.sample(1)
    speak(pair, peer, slot=1)
    assert (pair.queue_delay.watched, waited_ms(pair)) == (set(), [])


@pytest.mark.usefixtures("stamping")
def test_a_kernel_that_cannot_stamp_leaves_everything_as_it_is(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "SO_TIMESTAMPNS", 9_999)
    peer = pair.open()
    pair.wires.make_quick(0, on=True)
    pair.wires.sample(0)
    assert pair.wires.quick[pair.wires._fd[0]] == 0
    speak(pair, peer)
    assert waited_ms(pair) == []


def test_late_acks_are_asked_of_the_kernel() -> None:
    """TCP_QUICKACK reads 0 where the kernel acknowledges with the next data; told so, it does once it has sent some."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        target = Target.of(f"ws://127.0.0.1:{server.getsockname()[1]}/")
        for late in (False, True):
            fd, reason = sockets.connect(target, None, late_acks=late)
            assert reason is None
            with socket.socket(fileno=fd) as ours:
                ours.send(b"x")
                assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK) == (not late)
