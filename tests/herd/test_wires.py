"""Wires over real loopback sockets; the peer is driven by hand, the poller is a real epoll."""

from __future__ import annotations

import errno
import os
import resource
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

import pytest

from loadtest.herd.poller import EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP
from loadtest.herd.sockets import Target
from loadtest.herd.wires import MAX_OUTBOX_BYTES, MOST_READS, READ_BYTES, Wires
from tests.herd.peers import accept, listen, reset
from tests.herd.test_tls import TlsServer, client_context

pytestmark = pytest.mark.e2e

BIG = bytes(range(256)) * (1 << 14)
"""4 MiB: more than the kernel takes at once."""


class Pair:
    """Wires with some open slots, and the other end of each."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.server = listen(host)
        self.epoll = select.epoll()
        self.wires = Wires(self.epoll)
        self.wires.grow(8)
        name = f"[{host}]" if ":" in host else host
        self.target = Target.of(f"ws://{name}:{self.server.getsockname()[1]}/")
        self.peers: list[socket.socket] = []

    def open(self, slot: int = 0, source: str | None = None) -> socket.socket:
        assert self.wires.open(slot, self.target, source) is None
        self.peers.append(accept(self.server))
        self.wait(slot, EPOLLOUT)
        assert self.wires.error(slot) is None
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
    reason = pair.wires.open(0, pair.target, None)
    if reason is None:
        pair.wait(0, EPOLLHUP)
        reason = pair.wires.error(0)
    assert reason == "refused"


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
        assert pair.wires.open(0, pair.target, None) == "no_file_descriptor"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        os.close(lowest)
    assert not pair.wires.is_open(0)
    assert pair.open(0)


def test_poller_that_refuses_closes_what_was_opened(pair: Pair) -> None:
    class Full:
        def register(self, fd: int, eventmask: int) -> None:
            raise OSError(errno.ENOSPC, "no more watches")

    wires = Wires(Full())  # type: ignore[arg-type]
    wires.grow(1)
    assert wires.open(0, pair.target, None) == "enospc"
    assert not wires.is_open(0)
    assert set(wires.slot_of) == {-1}
