"""What a fault does to a herd's connections, seen from both ends; the server is told nothing it could not notice."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from loadtest.clock import NS_PER_S
from loadtest.errors import UsageError
from loadtest.herd.affliction import Delays, merge_facts, told
from loadtest.herd.states import IDLE, WAITING
from loadtest.pacing.reconnect import Fixed
from tests.herd.peers import Peer, revision
from tests.herd.rig import Rig

ORDER = {"seed": "1/x/0", "place": 0}


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig(10, policy=Fixed(2.0))
    made.come()
    made.herd.account.take()
    yield made
    made.stop()


def afflict(rig: Rig, kind: str, **order: Any) -> int:
    return rig.herd.afflicting.afflict("x", {"kind": kind, **ORDER, **order}, rig.clock.now_ns)


def relieve(rig: Rig) -> dict[str, Any]:
    """Let go, wait until all is known, return what came of it."""
    for _ in range(5):
        if rig.herd.afflicting.relieve("x", rig.clock.now_ns):
            return told(rig.herd.afflicting.take("x"))
        rig.idle()
        rig.advance(0.3)
    raise AssertionError("never settled")


def answered(peers: list[Peer]) -> int:
    """How many were answered their ping."""
    return sum("3" in peer.heard for peer in peers)


def states(rig: Rig) -> set[int]:
    return {rig.herd.state(slot) for slot in rig.slots}


def test_the_choice_follows_from_the_seed_alone(rig: Rig) -> None:
    choose = rig.herd.afflicting._choose
    assert choose(None, 0.4, "a") == choose(None, 0.4, "a") != choose(None, 0.4, "b")
    assert len(choose(None, 0.4, "a")) == 4
    assert len(choose(3, 1.0, "a")) == 3
    assert choose(50, 1.0, "a") == list(rig.slots)


def test_an_order_that_no_herd_knows_is_refused(rig: Rig) -> None:
    with pytest.raises(UsageError, match="fault x: this worker knows no plague"):
        afflict(rig, "plague")


def test_a_dropped_share_closes_and_comes_back(rig: Rig) -> None:
    assert afflict(rig, "drop", share=0.3, reset=False) == 3
    rig.pump(lambda: [peer.closed_with for peer in rig.server.peers].count(1001) == 3 or len(rig.server.peers) == 7)
    assert rig.herd.account.drops == {"fault_drop": 3}
    assert rig.herd.afflicting.relieve("x", 0), "nothing to relieve"
    assert rig.herd.afflicting.take("x") == {}


def test_blackholed_clients_are_silent_until_they_are_relieved(rig: Rig) -> None:
    peers = list(rig.server.peers)
    assert afflict(rig, "blackhole", share=0.5) == 5
    assert rig.herd.account.drops == {"fault_blackhole": 5}
    for peer in peers:
        peer.say("2")
    rig.pump(lambda: answered(peers) == 5)  # the others answer the ping
    rig.idle()
    rig.advance(30)
    assert [rig.herd.state(slot) for slot in rig.slots].count(IDLE) == 5, "they do not come back by themselves"
    silent = [peer for peer in peers if "3" not in peer.heard]
    for peer in silent:
        assert peer.sock.fileno() >= 0
        assert not select.select([peer.sock], [], [], 0)[0], "no FIN, no RST, no word"
    for peer in silent[:2]:  # the server finds out about two of them
        peer.fin()
    rig.advance(0.3)
    facts = relieve(rig)
    assert facts["connections"] == 5
    assert facts["noticed"] == 2
    assert facts["noticed_after_min_s"] == pytest.approx(30.3, abs=0.05)
    assert WAITING in states(rig)
    rig.advance(2.01)
    rig.pump(rig.all_live)
    assert rig.server.arrivals == 15
    assert not rig.herd.afflicting._present


def test_the_kernel_of_a_blackholed_client_acknowledges(rig: Rig) -> None:
    """It takes what fits into its buffer: for the server, sending goes well at first."""
    (peer, *_) = rig.server.peers
    afflict(rig, "blackhole")
    peer.say("2")
    rig.pump(lambda: unacknowledged(peer.sock) == 0)


def unacknowledged(sock: socket.socket) -> int:
    """Bytes the other end has not acknowledged (SIOCOUTQ, tcp(7))."""
    import fcntl
    import struct

    return int(struct.unpack("i", fcntl.ioctl(sock.fileno(), 0x5411, b"\0" * 4))[0])


def test_a_half_open_client_vanishes_and_comes_back_at_once(rig: Rig) -> None:
    peers = list(rig.server.peers)
    assert afflict(rig, "half-open", count=4) == 4
    assert rig.herd.account.drops == {"fault_half_open": 4}
    for peer in peers:
        peer.say("2")
    rig.pump(lambda: answered(peers) == 6)
    rig.idle()
    gone = [peer for peer in peers if "3" not in peer.heard]
    assert len(gone) == 4
    assert all(unacknowledged(peer.sock) > 0 for peer in gone), "not even its kernel answers"
    assert not select.select([peer.sock for peer in gone], [], [], 0)[0]
    rig.advance(2.01)
    rig.pump(rig.all_live)
    assert (rig.server.arrivals, len(rig.server.peers)) == (14, 14), "the server holds four connections to nobody"
    gone[0].rst()
    assert relieve(rig) == {"connections": 4, "noticed": 1}
    rig.pump(lambda: len(rig.server.peers) == 10)


def test_a_slow_reader_reads_so_many_bytes_a_second_and_stays_live(rig: Rig) -> None:
    (peer, *others) = rig.server.peers
    assert afflict(rig, "slow-reader", bytes_per_s=100) == 10
    words = revision(1)
    for each in (peer, *others):
        each.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        each.say(words * 10)
    rig.idle()
    for _ in range(10):
        rig.advance(0.1)
    rig.idle()
    assert relieve(rig)["read_bytes"] == 10 * 100
    assert rig.all_live()


def test_a_slow_reader_that_is_cut_off_comes_back_quick(rig: Rig) -> None:
    afflict(rig, "slow-reader", bytes_per_s=10, share=0.1)
    (slow,) = rig.herd._wires.sipping
    for peer in list(rig.server.peers):
        peer.say("2")
    rig.pump(lambda: answered(rig.server.peers) == 9)
    (late,) = [peer for peer in rig.server.peers if "3" not in peer.heard]
    late.rst()
    rig.advance(0.5)
    assert rig.herd.state(slow) == WAITING
    rig.advance(2.01)
    rig.pump(rig.all_live)
    assert slow not in rig.herd._wires.sipping
    facts = relieve(rig)
    assert (facts["cut_off"], facts["cut_off_after_mean_s"]) == (1, 0.5)


def test_a_relieved_slow_reader_reads_on_from_where_it_was(rig: Rig) -> None:
    (peer, *_) = rig.server.peers
    afflict(rig, "slow-reader", bytes_per_s=10)
    peer.say("2")
    rig.idle()
    assert "3" not in peer.heard
    relieve(rig)
    rig.pump(lambda: "3" in peer.heard)


def strangers(rig: Rig, says: str, number: int = 3, byte_every_s: float = 0.0) -> int:
    return afflict(
        rig,
        "slowloris" if byte_every_s else "mute",
        count=number,
        open_per_s=1000.0,
        says=says,
        byte_every_ns=round(byte_every_s * NS_PER_S),
    )


def test_mute_sockets_are_in_nobodys_books_and_say_nothing(rig: Rig) -> None:
    assert strangers(rig, "nothing") == 3
    rig.advance(1.0)
    rig.pump(lambda: rig.server.arrivals == 13)
    rig.advance(0.3)
    requests = len(rig.server.requests)
    late = rig.server.peers[-1]
    rig.advance(3.7)
    late.fin()
    rig.advance(0.3)
    rig.idle()
    assert len(rig.server.requests) == requests == 10
    assert not rig.herd.account.counts["attempts"]
    facts = relieve(rig)
    assert (facts["tried"], facts["opened"], facts["refused"], facts["closed"]) == (3, 3, 0, 1)
    assert facts["closed_after_max_s"] == pytest.approx(4.3, abs=0.5)
    rig.pump(lambda: len(rig.server.peers) == 10)


def test_mute_sockets_may_upgrade_first(rig: Rig) -> None:
    strangers(rig, "upgrade", 2)
    rig.advance(1.0)
    rig.advance(0.3)
    rig.pump(lambda: len(rig.server.requests) == 12)
    rig.advance(30)
    assert relieve(rig)["opened"] == 2


def test_slowloris_sends_a_byte_at_a_time_without_end(rig: Rig) -> None:
    strangers(rig, "endless", 1, byte_every_s=1.0)
    rig.advance(0.01)
    rig.pump(lambda: rig.server.arrivals == 11)
    peer = rig.server.peers[-1]
    rig.server.peers.remove(peer)  # read here, not by the server
    for _ in range(300):
        rig.advance(1.0)
    heard = b""
    while len(heard) < 299 and select.select([peer.sock], [], [], 1.0)[0]:
        heard += peer.sock.recv(4096)
    assert 299 <= len(heard) <= 302
    assert heard.removeprefix(b"G").startswith(b"ET /socket.io/ HTTP/1.1\r\nHost: ")
    assert b"\r\n\r\n" not in heard
    assert b"X-Patience: 1\r\nX-Patience: 1\r\n" in heard
    relieve(rig)
    assert peer.sock.recv(1) == b"", "closed"
    peer.sock.close()


def test_strangers_that_nobody_answers_are_refused(rig: Rig) -> None:
    rig.server._listener.close()
    strangers(rig, "nothing", 5)
    rig.advance(1.0)
    rig.advance(0.3)
    facts = relieve(rig)
    rig.server._listener = socket.socket()
    assert (facts["tried"], facts["opened"], facts["refused"]) == (5, 0, 5)


def test_who_has_left_for_good_is_not_brought_back(rig: Rig) -> None:
    afflict(rig, "blackhole")
    rig.herd.release(rig.slots)
    relieve(rig)
    assert states(rig) == {IDLE}


def test_facts_of_several_herds_merge() -> None:
    one, other = Delays(), Delays()
    for seconds in (1.0, 3.0):
        one.enter(seconds)
    other.enter(8.0)
    merged = merge_facts([{"hit": 2} | one.facts("cut"), {"hit": 1} | other.facts("cut"), Delays().facts("cut")])
    assert told(merged) == {
        "hit": 3, "cut": 3, "cut_after_mean_s": 4.0, "cut_after_min_s": 1.0, "cut_after_max_s": 8.0
    }  # fmt: skip
