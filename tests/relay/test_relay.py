"""Real sockets on both sides of a relay that is stepped by the test; time is the relay's clock, moved by hand."""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Callable, Iterator

import pytest

from loadtest.clock import FakeClock
from loadtest.relay.conditions import Impairment
from loadtest.relay.relay import Relay

ROUNDS = 500


class World:
    """A gateway, a relay in front of it, and clients."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.gateway = listener()
        self.front = listener()
        self.relay = Relay([(self.front, self.gateway.getsockname())], clock=self.clock)
        self.open: list[socket.socket] = []

    def stop(self) -> None:
        for sock in self.open:
            sock.close()
        self.relay.stop()
        self.gateway.close()

    def until(self, done: Callable[[], object]) -> None:
        for _ in range(ROUNDS):
            self.relay.turn(0.005)
            if done():
                return
        raise AssertionError(f"not reached: {self.relay.counts}")

    def step(self, seconds: float = 0.0) -> None:
        self.clock.advance(seconds)
        for _ in range(5):
            self.relay.turn(0.002)

    def client(self) -> socket.socket:
        sock = socket.create_connection(self.front.getsockname(), 2.0)
        self.open.append(sock)
        return sock

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """Return a client and the gateway's end of its connection."""
        client = self.client()
        self.until(lambda: select.select([self.gateway], [], [], 0)[0])
        peer, _ = self.gateway.accept()
        peer.settimeout(2.0)
        self.open.append(peer)
        self.step()
        return client, peer

    def hears(self, sock: socket.socket) -> bytes:
        """Return what has come through by now."""
        sock.setblocking(False)
        got = b""
        try:
            while more := sock.recv(65_536):
                got += more
        except BlockingIOError:
            pass
        return got


def listener() -> socket.socket:
    sock = socket.create_server(("127.0.0.1", 0), backlog=64)
    sock.setblocking(False)
    return sock


def is_over(sock: socket.socket) -> str:
    """Say how a connection ended for this side: "fin", "reset", or "" while it stands."""
    sock.setblocking(False)
    try:
        return "" if sock.recv(1) else "fin"
    except BlockingIOError:
        return ""
    except ConnectionResetError:
        return "reset"


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.stop()


def impair(kind: str, **more: object) -> Impairment:
    return Impairment.read({"kind": kind, "seed": "s", **more})


def test_bytes_pass_both_ways_and_ends_are_told(world: World) -> None:
    client, peer = world.pair()
    client.sendall(b"up")
    world.step()
    assert world.hears(peer) == b"up"
    peer.sendall(b"down")
    world.step()
    assert world.hears(client) == b"down"
    client.shutdown(socket.SHUT_WR)
    world.until(lambda: is_over(peer) == "fin")
    peer.sendall(b"last words")
    world.step()
    assert world.hears(client) == b"last words"
    peer.close()
    world.until(lambda: world.relay.counts["connections"] == 0)
    assert world.relay.counts["up_bytes"] == 2
    assert world.relay.counts["down_bytes"] == 14


def test_a_reset_is_told_as_a_reset(world: World) -> None:
    client, peer = world.pair()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    world.until(lambda: is_over(client) == "reset")
    assert world.relay.counts["connections"] == 0


def test_a_gateway_that_refuses_is_told_to_the_client(world: World) -> None:
    world.gateway.close()
    client = world.client()
    world.until(lambda: is_over(client) == "reset")
    assert world.relay.counts["refused"] == 1


def test_much_passes_whole_when_the_receiver_is_slow(world: World) -> None:
    client, peer = world.pair()
    sent, got = 0, bytearray()
    client.setblocking(False)
    block = bytes(range(256)) * 256
    for _ in range(200):
        try:
            sent += client.send(block[sent % len(block) :])
        except BlockingIOError:
            break
        world.relay.turn(0)
    peer.setblocking(False)

    def drained() -> bool:
        got.extend(world.hears(peer))
        return len(got) == sent

    world.until(drained)
    whole = block * (sent // len(block) + 1)
    assert bytes(got) == whole[:sent]
    assert sent > 256 * 1024


def test_a_delay_is_kept_to_the_moment(world: World) -> None:
    client, peer = world.pair()
    assert world.relay.place("slow", impair("delay", delay_s=0.5, direction="up")) == 1
    client.sendall(b"ping")
    peer.sendall(b"down is quick")
    world.step(0.49)
    world.step()
    assert world.hears(client) == b"down is quick"
    assert world.hears(peer) == b""
    world.step(0.5)
    assert world.hears(peer) == b"ping"
    world.relay.clear("slow")
    client.sendall(b"quick")
    world.step()
    assert world.hears(peer) == b"quick"


def test_a_narrow_way_holds_to_its_rate(world: World) -> None:
    client, peer = world.pair()
    world.relay.place("narrow", impair("bandwidth", bytes_per_s=1000))
    client.sendall(bytes(5000))
    world.step()
    got = 0
    for _ in range(100):
        world.step(0.02)
        got += len(world.hears(peer))
    assert got == pytest.approx(2000, rel=0.05)


def test_in_a_stall_nothing_passes_and_nothing_is_lost(world: World) -> None:
    client, peer = world.pair()
    gone, left = world.pair()
    world.relay.place("still", impair("stall"))
    client.sendall(b"later")
    gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    gone.close()
    world.step(60)
    assert world.hears(peer) == b""
    assert is_over(left) == "", "not even a reset"
    assert len(world.relay.poller.poll(0)) == 0, "and the relay does not spin"
    world.relay.clear("still")
    world.step()
    assert world.hears(peer) == b"later"
    world.until(lambda: is_over(left) == "reset")


def test_a_cut_resets_both_sides_and_who_comes_next(world: World) -> None:
    client, peer = world.pair()
    assert world.relay.place("cut", impair("cut")) == 1
    world.until(lambda: is_over(client) == "reset" and is_over(peer) == "reset")
    late = world.client()
    world.until(lambda: is_over(late) == "reset")
    assert world.relay.counts["cut"] == 2
    world.relay.clear("cut")
    again, peer = world.pair()
    again.sendall(b"back")
    world.step()
    assert world.hears(peer) == b"back"


def test_news_of_a_connection_that_has_just_ended_are_nobodys(world: World) -> None:
    """Both ends break at once and a new client waits: its descriptors are those of the old, whose news come last."""
    client, peer = world.pair()
    for sock in (client, peer):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
    (old,) = world.relay._pairs.values()
    newcomer = world.client()
    news = [(old.client.fd, select.EPOLLERR), (world.front.fileno(), select.EPOLLIN), (old.gateway.fd, select.EPOLLERR)]
    poller = world.relay.poller
    world.relay.poller = Once(poller, news)  # type: ignore[assignment]
    assert world.relay.turn(0) == []
    world.relay.poller = poller
    assert old.closed
    (new,) = world.relay._pairs.values()
    assert {new.client.fd, new.gateway.fd} & {old.client.fd, old.gateway.fd}
    newcomer.sendall(b"hello")
    world.until(lambda: new.stands)
    world.step()
    peer, _ = world.gateway.accept()
    world.open.append(peer)
    assert world.hears(peer) == b"hello"


class Once:
    """A poller that tells prepared news."""

    def __init__(self, poller: select.epoll, news: list[tuple[int, int]]) -> None:
        self._poller, self._news = poller, news

    def poll(self, *_: object) -> list[tuple[int, int]]:
        return self._news

    def __getattr__(self, name: str) -> object:
        return getattr(self._poller, name)


def test_a_full_relay_lets_clients_wait_until_somebody_leaves(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    client, peer = world.pair()
    front = world.front
    (door,) = world.relay._gateways
    world.relay._gateways[door] = (Full(front), world.gateway.getsockname())  # type: ignore[assignment]
    late = world.client()
    world.step()
    assert world.relay.poller.poll(0) == [], "it does not spin"
    world.relay._gateways[door] = (front, world.gateway.getsockname())
    client.close()
    world.until(lambda: is_over(peer) == "fin")
    peer.close()
    world.until(lambda: world.relay.counts["connections"] == 1)
    late.sendall(b"my turn")
    world.until(lambda: select.select([world.gateway], [], [], 0)[0])
    peer, _ = world.gateway.accept()
    world.open.append(peer)
    world.step()
    assert world.hears(peer) == b"my turn"


class Full:
    """A listener in a process that may open no more files."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener

    def accept(self) -> None:
        raise OSError(24, "Too many open files")


def test_only_the_share_is_struck(world: World) -> None:
    pairs = [world.pair() for _ in range(12)]
    half = impair("cut", share=0.5)
    struck = world.relay.place("half", half)
    world.step()
    expected = [half.strikes(number) for number in range(1, 13)]
    assert struck == sum(expected)
    assert 0 < struck < 12
    assert [is_over(client) == "reset" for client, _ in pairs] == expected


@pytest.mark.parametrize("order", [{}, {"do": "explode"}, {"do": "place", "name": "x", "kind": "delay"}])
def test_what_is_no_order_is_refused(world: World, order: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="no "):
        world.relay.obey(order)


def test_orders_place_and_clear_and_count(world: World) -> None:
    world.pair()
    order = {"do": "place", "name": "x", "kind": "stall", "seed": "s"}
    assert world.relay.obey(order) == {"struck": 1}
    assert world.relay.obey({"do": "count"})["connections"] == 1
    assert world.relay.obey({"do": "clear", "name": "x"}) == {}
    assert world.relay.obey({"do": "clear", "name": "x"}) == {}
    assert not world.relay.conditions.present
