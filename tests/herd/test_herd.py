"""The whole herd against a server of another hand: coming, hearing, losing, coming back; time moves only when told."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wsproto.events import AcceptConnection

from loadtest.clock import NS_PER_S
from loadtest.herd.quick import INTERPRETED, READ_BYTES
from loadtest.herd.states import BOOTSTRAP, CONNECTING, IDLE, JOINING, LIVE, SUBSCRIBING, UPGRADING, WAITING
from loadtest.metrics.receive_queue import ReceiveQueue
from loadtest.pacing.reconnect import (
    BackoffReset,
    Fixed,
    Never,
    Phoenix,
    Quickened,
    ReconnectPolicy,
    RetryAfter,
    SocketIOJs,
)
from loadtest.protocol.websocket_dialect import WebSocketDialect
from tests.herd.peers import FewClients, close, frame, marker, revision, text
from tests.herd.rig import Notes, Rig

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("way")]

MakeRig = Callable[..., Rig]


@pytest.fixture(params=[True, False], ids=["at once", "by the poller"])
def make(request: pytest.FixtureRequest) -> Iterator[MakeRig]:
    made: list[Rig] = []

    def build(*args: Any, **kwargs: Any) -> Rig:
        made.append(Rig(*args, at_once=request.param, **kwargs))
        return made[-1]

    yield build
    for rig in made:
        rig.stop()


# --- coming ----------------------------------------------------------------------------------------------------------


def test_client_connects_joins_and_subscribes(make: MakeRig) -> None:
    rig = make(3)
    rig.come()
    taken = rig.herd.account.take()
    assert taken["counts"] == {"attempts": 3, "connected": 3, "subscribed": 3}
    assert rig.server.peers[0].heard == ["40", '420["subscribe",{"collection":"room-0"}]']
    assert rig.herd.slots.population[LIVE] == 3


def test_conversation_is_acknowledged_late_and_what_comes_after_it_at_once(make: MakeRig) -> None:
    """TCP_QUICKACK reads 0 where the kernel waits for data to send an acknowledgement with."""
    rig = make(1, late_acks=True)
    seen = set()

    def in_session() -> bool:
        if rig.herd._wires.is_open(0):
            with socket.socket(fileno=os.dup(rig.herd._wires._fd[0])) as ours:
                seen.add((rig.state(), ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK)))
        return rig.state() == LIVE

    rig.go()
    rig.pump(in_session)
    assert (UPGRADING, 0) in seen or (JOINING, 0) in seen
    assert (LIVE, 1) in seen
    assert (LIVE, 0) not in seen


def test_schedule_is_kept_to_the_tick_and_lateness_counts_from_it(make: MakeRig) -> None:
    rig = make(1)
    rig.herd.schedule(0, rig.clock.now_ns + NS_PER_S)
    rig.advance(0.99)
    assert rig.state() == WAITING
    rig.advance(0.03)
    assert rig.state() == rig.begun
    assert rig.herd.account.lateness.percentile_ns(100) == pytest.approx(20_000_000, rel=0.02)


def test_refused_connect_is_counted_and_tried_again_after_the_exact_wait(make: MakeRig) -> None:
    rig = make(1, policy=Phoenix())
    rig.server.stop()
    rig.go()
    for wait_s in (0.01, 0.05, 0.1, 0.15):
        for _ in range(50):
            if rig.state() == WAITING:  # told at once, or by the poller
                break
            rig.herd.turn()
        assert rig.state() == WAITING
        assert rig.herd.slots.planned[0] == rig.clock.now_ns + round(wait_s * NS_PER_S)
        rig.advance(wait_s)
    assert rig.failures() == {"refused": 4 if rig.begun == CONNECTING else 5}
    assert rig.herd.account.counts["attempts"] == 5


@pytest.mark.parametrize(
    ("habit", "state", "reason"),
    [
        ("upgrades", UPGRADING, "timeout_upgrade"),
        ("opens", JOINING, "timeout_session"),
        ("joins", JOINING, "timeout_session"),
        ("acks", SUBSCRIBING, "timeout_subscribe"),
    ],
)
def test_server_that_falls_silent_is_given_up_in_time(make: MakeRig, habit: str, state: int, reason: str) -> None:
    rig = make(1, connect_ns=2 * NS_PER_S, subscribe_ns=3 * NS_PER_S)
    setattr(rig.server.habits, habit, False)
    rig.go()
    rig.pump(lambda: rig.state() == state)
    rig.idle()
    patience_s = 3.0 if state == SUBSCRIBING else 2.0
    rig.advance(patience_s - 0.02)
    assert rig.failures() == {}
    rig.advance(0.03)
    assert rig.failures() == {reason: 1}
    assert rig.state() == WAITING


def test_cap_in_flight_is_kept_and_who_waited_longest_goes_first(make: MakeRig) -> None:
    rig = make(6, max_in_flight=2, policy=Never())
    rig.server.habits.opens = False
    rig.go(range(4))
    assert rig.herd.slots.population[WAITING] == 2
    assert rig.herd.account.counts["postponed"] == 2
    waiting = [slot for slot in range(4) if rig.state(slot) == WAITING]
    rig.pump(lambda: rig.herd.slots.population[JOINING] == 2)
    for peer in rig.server.peers:
        peer.half_close()
    rig.arrive(rig.server.peers, select.POLLRDHUP)
    while rig.herd.turn():
        pass
    assert rig.herd.slots.in_flight == 0
    rig.go([4, 5])
    assert rig.herd.slots.in_flight == 2
    assert [slot for slot in range(6) if rig.state(slot) == rig.begun] == waiting
    assert rig.herd.account.counts["postponed"] == 4


def test_success_starts_the_backoff_anew(make: MakeRig) -> None:
    rig = make(1, policy=Phoenix())
    rig.server.habits.joins = False
    rig.go()
    for wait_s in (0.01, 0.05):
        rig.pump(lambda: rig.state() == JOINING)
        rig.advance(10.01)
        assert rig.herd.slots.planned[0] == rig.clock.now_ns + round(wait_s * NS_PER_S)
        rig.advance(wait_s + 0.01)
    rig.server.habits.joins = True
    rig.pump(rig.all_live)
    rig.peer.fin()
    rig.pump(lambda: bool(rig.drops()))
    assert rig.herd.slots.planned[0] == rig.clock.now_ns + round(0.01 * NS_PER_S)


def test_session_of_a_plain_websocket_opens_with_the_upgrade(make: MakeRig) -> None:
    dialect = WebSocketDialect(hello={"type": "hello"}, subscribe_message={"type": "subscribe"}, marker_path="text")
    rig = make(1, dialect=dialect, settle_ns=NS_PER_S)
    rig.server.habits.opens = False
    rig.go()
    rig.pump(lambda: rig.state() == SUBSCRIBING and len(rig.peer.heard) == 2)
    assert rig.peer.heard == ['{"type":"hello"}', '{"type":"subscribe"}']
    rig.advance(0.98)
    assert rig.state() == SUBSCRIBING
    rig.advance(0.03)
    assert rig.state() == LIVE


def test_end_that_came_with_the_connection_is_seen_at_once(make: MakeRig) -> None:
    rig = make(1)
    rig.server.habits.raw = b"HTTP/1.1 503 Busy\r\n\r\n"
    rig.go()
    select.select(rig.server.readables, [], [], 2.0)
    rig.server.step()  # accepted, answered and half closed before the herd looks: one edge for all of it
    rig.peer.half_close()
    rig.arrive([rig.peer])
    rig.pump(lambda: bool(rig.failures()))
    assert rig.failures() == {"http_503": 1}


def test_frames_and_end_in_the_same_read_as_the_upgrade_are_told_by_their_own_reason(make: MakeRig) -> None:
    rig = make(1)
    rig.server.habits.upgrades = False
    rig.go()
    rig.pump(lambda: bool(rig.server.requests))
    rig.peer.raw(rig.peer.ws.send(AcceptConnection()) + close(1013))
    rig.peer.fin()
    rig.pump(lambda: bool(rig.failures()))
    assert rig.failures() == {"close_1013": 1}


def test_end_in_the_same_read_as_the_upgrade_is_not_missed(make: MakeRig) -> None:
    rig = make(1)
    rig.server.habits.upgrades = False
    rig.go()
    rig.pump(lambda: bool(rig.server.requests))
    rig.peer.raw(rig.peer.ws.send(AcceptConnection()) + text('0{"sid":"s","pingInterval":25000,"pingTimeout":20000}'))
    rig.peer.half_close()
    rig.arrive([rig.peer], select.POLLRDHUP)
    while rig.herd.turn():
        pass
    assert rig.failures() == {"eof": 1}


class BetweenPollAndRead:
    """A poller after whose first catch something happens, before the herd reads."""

    def __init__(self, rig: Rig, happens: Callable[[], None]) -> None:
        self._rig = rig
        self._happens: Callable[[], None] | None = happens

    def poll(self, timeout: float | None = None, maxevents: int = -1) -> list[tuple[int, int]]:
        ready = self._rig.poller.poll(timeout, maxevents)
        if ready and self._happens is not None:
            happens, self._happens = self._happens, None
            happens()
        return ready


@pytest.mark.parametrize("state", [UPGRADING, JOINING, LIVE])
@pytest.mark.parametrize("secretly", [False, True], ids=["whole", "within a message"])
def test_data_and_end_between_poll_and_read_are_not_lost(make: MakeRig, state: int, secretly: bool) -> None:
    rig = make(1)
    habits = rig.server.habits
    habits.upgrades, habits.joins = state > UPGRADING, state > JOINING
    rig.go()
    rig.pump(lambda: rig.state() == state and bool(rig.server.requests))
    rig.idle()
    peer = rig.peer
    said = b"HTTP/1.1 101 Switch" if state == UPGRADING else text('42["news"]')
    cut = 4 if secretly else len(said)

    def more() -> None:
        peer.raw(said[cut:] + (b"" if state == UPGRADING else text('42["news"]')))
        peer.half_close()
        rig.arrive([peer], select.POLLRDHUP)

    bound = rig.herd._sweep.args[1:]  # type: ignore[attr-defined]
    rig.herd._sweep = INTERPRETED.sweeper(BetweenPollAndRead(rig, more), *bound)  # the compiled one asks the kernel
    peer.raw(said[:cut])
    rig.arrive([peer])
    while rig.herd.turn():
        pass
    lost = rig.drops() if state == LIVE else rig.failures()
    assert lost == {"upgrade_eof" if state == UPGRADING else "eof": 1}
    assert rig.herd.account.counts["received"] == (0 if state == UPGRADING else 2)


def test_request_larger_than_the_socket_takes_leaves_as_the_server_reads(make: MakeRig) -> None:
    class Wordy(FewClients):
        def upgrade(self, target: Any, variables: Any, key: bytes) -> bytes:
            return super().upgrade(target, variables, key) + bytes(4 << 20)

    rig = make(1, clients=Wordy())
    rig.server.habits.raw = b""
    rig.go()
    for _ in range(50):
        if rig.state() == UPGRADING:  # the server has not read anything yet
            break
        rig.herd.turn()
    assert 0 in rig.herd._wires._outbox
    rig.pump(lambda: rig.state() == UPGRADING and 0 not in rig.herd._wires._outbox)
    rig.peer.raw(b"HTTP/1.1 431 Too Large\r\n\r\n")
    rig.pump(lambda: bool(rig.failures()))
    assert rig.failures() == {"http_431": 1}


# --- hearing ---------------------------------------------------------------------------------------------------------


def deliver(rig: Rig) -> dict[str, int]:
    """Send in-order, double, missing, reordered, foreign, misrouted and unmarked messages; return the books."""
    first = rig.clock.now_ns
    rig.publish(0, 1, 2, 3, 4, 5, sched_ns=first)
    rig.publish(0, sched_ns=first, channel=1)
    peers = list(rig.server.peers)

    def say(*packets: str, to: Any = peers) -> None:
        rig.say(to, *packets)

    say(revision(0, sched_ns=first))
    say(revision(1, sched_ns=first))
    say(revision(1, sched_ns=first), to=peers[:1])
    say(revision(2, sched_ns=first), revision(3, sched_ns=first))
    say(revision(5, sched_ns=first))
    say(revision(4, sched_ns=first), to=peers[1:])
    say(revision(6, sched_ns=first, run="deadbeef"))
    say(revision(0, sched_ns=first, channel=1))
    say(revision(900_000, sched_ns=first))
    say('42["news",{}]')
    return rig.books()


def test_fast_path_and_slow_path_keep_the_same_books(make: MakeRig) -> None:
    fast, slow = make(5), make(5, hooks=Notes())
    fast.come()
    slow.come()
    with_hooks, without = deliver(slow), deliver(fast)
    assert without == with_hooks
    assert without["delivered"] == 29
    assert without["lost"] == 1
    assert without["duplicated"] == 1
    assert without["reordered"] == 4
    assert without["misrouted"] == 5
    assert without["foreign"] == 5
    assert without.get("imbalance", 0) == 0
    assert fast.herd.account.counts["foreign"] == slow.herd.account.counts["foreign"] == 5
    assert fast.herd.account.counts["received"] == slow.herd.account.counts["received"] == 5


@pytest.mark.usefixtures("stamping")
def test_a_sampled_connection_keeps_the_same_books(make: MakeRig) -> None:
    quick, sampled = make(5), make(5, sampled=True)
    quick.come()
    sampled.come()
    assert deliver(quick) == deliver(sampled)
    assert sampled.herd.account.counts["received"] == 5
    assert quick.herd.queue_delay.take().delays.count == 0
    reads = sampled.herd.queue_delay.take()
    assert (reads.connections, reads.delays.count) == (5, 45)


@pytest.mark.usefixtures("stamping")
def test_the_receive_queue_is_measured_in_session_only_and_after_a_return_again(make: MakeRig) -> None:
    rig = make(3, sampled=True)
    peers = rig.come()
    assert rig.herd.queue_delay.take().delays.count == 0, "what opens a session is not what arrives in it"
    peers[0].rst()
    rig.pump(lambda: rig.herd.slots.population[WAITING] == 1)
    assert rig.herd.queue_delay.take().connections == 2
    rig.advance(1.0)
    rig.pump(rig.all_live)
    assert rig.herd.queue_delay.take() == ReceiveQueue(connections=3, error_ns=pytest.approx(0, abs=100_000))
    rig.say(rig.server.peers[-3:], revision(0, sched_ns=rig.clock.now_ns))
    assert rig.herd.queue_delay.take().delays.count == 3


def test_publishers_receive_queues_are_not_fan_outs(make: MakeRig) -> None:
    rig = make(2, sampled=True, listening=False)
    rig.come()
    assert rig.herd.queue_delay.take().connections == 0


def test_hooks_hear_the_same_bytes_every_time(make: MakeRig) -> None:
    notes = Notes()
    rig = make(3, hooks=notes)
    peers = rig.come()
    rig.publish(0, sched_ns=rig.clock.now_ns)
    for _ in range(3):
        rig.say(peers, revision(0, sched_ns=rig.clock.now_ns))
    assert [told for told in notes.told if told[0] == "message"].count(("message", 1, "revision")) == 3


def test_same_bytes_to_many_are_read_once(make: MakeRig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = make(20)
    peers = rig.come()
    seen: list[object] = []
    decode = rig.herd._dialect.decode
    monkeypatch.setattr(rig.herd._dialect, "decode", lambda frame: seen.append(frame) or decode(frame))
    rig.publish(0, sched_ns=rig.clock.now_ns)
    rig.say(peers, revision(0, sched_ns=rig.clock.now_ns))
    assert len(seen) == 1
    assert rig.books()["delivered"] == 20


def test_heartbeat_is_answered(make: MakeRig) -> None:
    rig = make(1)
    rig.come()
    rig.peer.say("2")
    rig.pump(lambda: rig.peer.heard[-1] == "3")


def test_turn_handles_256_events_at_most(make: MakeRig) -> None:
    rig = make(300)
    peers = rig.come()
    while rig.herd.turn():
        pass
    for peer in peers:
        peer.say("2")
    rig.arrive(peers)
    assert rig.herd.turn() == 256
    assert rig.herd.turn() == 44


def test_more_than_one_read_is_taken_from_one_edge(make: MakeRig) -> None:
    rig = make(1)
    rig.come()
    rig.publish(0, sched_ns=rig.clock.now_ns)
    filler = text('42["news","' + "x" * 100 + '"]')
    count = 3 * READ_BYTES // len(filler)
    rig.peer.raw(filler * count + text(revision(0, sched_ns=rig.clock.now_ns)))
    rig.pump(lambda: rig.herd._wires.quick.count(0) == 1 and rig.herd.account.counts["received"] == count)
    assert rig.herd.account.counts["received"] == count
    assert rig.books()["delivered"] == 1


@pytest.mark.parametrize("how", ["fin", "half_close"])
def test_message_and_end_in_one_edge_are_both_seen(make: MakeRig, how: str) -> None:
    rig = make(1)
    rig.come()
    rig.publish(0, sched_ns=rig.clock.now_ns)
    rig.peer.say(revision(0, sched_ns=rig.clock.now_ns))
    getattr(rig.peer, how)()
    rig.pump(lambda: bool(rig.drops()))
    assert rig.drops() == {"eof": 1}
    assert rig.books()["delivered"] == 1


def test_exactly_one_read_and_an_end_are_both_seen(make: MakeRig) -> None:
    rig = make(1)
    rig.come()
    rig.peer.raw(frame(0x81, b'42["' + b"n" * (READ_BYTES - 10) + b'"]'))
    rig.peer.fin()
    rig.pump(lambda: bool(rig.drops()))
    assert rig.herd.account.counts["received"] == 1


def test_output_that_waited_leaves_although_messages_come_with_the_edge(make: MakeRig) -> None:
    rig = make(1)
    rig.come()
    sock = rig.peer.sock
    message = rig.herd._dialect.send("x" * 60_000)
    sent = 0
    while 0 not in rig.herd._wires._outbox:
        assert rig.herd.send(0, message)
        sent += len(message)
    while rig.herd.turn():
        pass
    received = 0
    sock.setblocking(False)
    for _ in range(10_000):
        sock.sendall(text('42["news"]'))  # every edge now brings input as well as room
        with suppress(BlockingIOError):
            received += len(sock.recv(1 << 20))
        rig.herd.turn()
        if received == sent:
            break
    assert received == sent
    assert rig.herd._wires.quick[rig.herd._wires._fd[0]] == 0


# --- losing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [RetryAfter(), Quickened(RetryAfter(), 60.0)])
def test_client_comes_back_exactly_when_the_server_says(make: MakeRig, policy: ReconnectPolicy) -> None:
    rig = make(1, policy=policy)
    rig.come()
    rig.peer.raw(frame(0x88, b"\x0f\xadretry-after=33.25"))
    rig.pump(lambda: bool(rig.drops()))
    assert rig.drops() == {"close_4013": 1}
    rig.advance(33.24)
    assert rig.state() == WAITING
    rig.advance(0.02)
    rig.pump(rig.all_live)


def test_refused_upgrade_says_when_to_come_back(make: MakeRig) -> None:
    rig = make(1, policy=RetryAfter())
    rig.server.habits.raw = b"HTTP/1.1 503 Busy\r\nRetry-After: 71.5\r\nContent-Length: 0\r\n\r\n"
    rig.go()
    rig.pump(lambda: bool(rig.failures()))
    assert rig.failures() == {"http_503": 1}
    assert rig.herd.slots.planned[0] - rig.clock.now_ns == 71.5 * NS_PER_S


@pytest.mark.parametrize(("policy", "attempt"), [(SocketIOJs(), 4), (BackoffReset(), 1)])
def test_open_transport_resets_only_the_faulty_backoff(make: MakeRig, policy: ReconnectPolicy, attempt: int) -> None:
    rig = make(1, policy=policy)
    rig.server.habits.joins = False
    rig.herd.slots.attempt[0] = 3
    rig.go()
    rig.pump(lambda: rig.state() == JOINING)
    rig.peer.say('44{"message":"no"}')
    rig.pump(lambda: bool(rig.failures()))
    assert rig.herd.slots.attempt[0] == attempt


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (lambda peer: peer.fin(), "eof"),
        (lambda peer: peer.rst(), "reset"),
        (lambda peer: peer.raw(close(1012)), "close_1012"),
        (lambda peer: peer.raw(frame(0x88)), "close_1005"),
        (lambda peer: peer.say("1"), "disconnected_by_server"),
        (lambda peer: peer.say("41"), "disconnected_by_server"),
        (lambda peer: peer.say('44{"message":"no"}'), "session_refused"),
        (lambda peer: peer.say("garbage"), "malformed_packet"),
        (lambda peer: peer.raw(b"\x81\x80\0\0\0\0"), "bad_mask"),
        (lambda peer: peer.raw(b"\x82\x01x"), "malformed_packet"),
        (lambda peer: peer.raw(b"\x81\x02\xff\xfe"), "bad_utf8"),
    ],
)
def test_lost_session_is_a_drop_by_reason_and_comes_back(
    make: MakeRig, end: Callable[[Any], None], reason: str
) -> None:
    notes = Notes()
    rig = make(1, policy=Fixed(0.5), hooks=notes)
    rig.come()
    lost_ns = rig.clock.now_ns
    end(rig.peer)
    rig.pump(lambda: bool(rig.drops()))
    assert rig.drops() == {reason: 1}
    assert rig.herd.account.counts["drops"] == 1
    assert rig.herd.account.first_drop_ns == lost_ns
    assert rig.failures() == {}
    rig.advance(0.49)
    assert rig.state() == WAITING
    rig.advance(0.01)
    rig.pump(rig.all_live)
    assert [what for what, *_ in notes.told if what != "message"] == ["connected", "disconnected", "connected"]
    assert ("disconnected", 0, reason) in notes.told


def test_half_a_message_does_not_outlive_its_connection(make: MakeRig) -> None:
    rig = make(1)
    rig.come()
    rig.peer.raw(text('42["news"]')[:5])
    rig.arrive([rig.peer])
    rig.herd.turn()
    rig.peer.fin()
    rig.pump(lambda: bool(rig.drops()))
    rig.advance(1.01)
    rig.pump(rig.all_live)
    assert rig.failures() == {}


def test_close_frame_is_answered(make: MakeRig) -> None:
    rig = make(1)
    rig.come()
    peer = rig.peer
    peer.raw(close(1001))
    rig.pump(lambda: peer.closed_with == 1001)


def test_ping_watchdog_gives_up_a_silent_peer_and_only_that(make: MakeRig) -> None:
    rig = make(2)
    rig.server.habits.interval_ms, rig.server.habits.timeout_ms = 3000, 1000
    peers = list(rig.come())
    rig.advance(3.0)
    rig.say(peers[:1], "2")
    rig.advance(1.02)
    assert rig.drops() == {"ping_timeout": 1}
    assert sorted(rig.herd.state(slot) for slot in rig.slots) == [WAITING, LIVE]
    rig.advance(3.0)
    assert rig.drops() == {"ping_timeout": 2}


def test_policy_none_stays_away(make: MakeRig) -> None:
    rig = make(1, policy=Never())
    rig.come()
    rig.peer.fin()
    rig.pump(lambda: bool(rig.drops()))
    rig.advance(3600)
    assert rig.state() == IDLE
    assert rig.server.arrivals == 1


@pytest.mark.parametrize("reset", [False, True])
def test_own_drop_is_a_drop_and_comes_back(make: MakeRig, reset: bool) -> None:
    rig = make(3)
    peers = list(rig.come())
    assert rig.herd.drop([0, 2], reset=reset) == 2
    assert rig.herd.drop([0]) == 0, "it is not live any more"
    assert rig.drops() == {"fault_drop": 2}
    rig.pump(lambda: len(rig.server.peers) == 1)
    assert sorted(str(peer.closed_with) for peer in peers) == (["None"] * 3 if reset else ["1001", "1001", "None"])
    rig.advance(1.01)
    rig.pump(rig.all_live)
    assert rig.server.arrivals == 5


def test_release_says_goodbye_and_is_no_drop(make: MakeRig) -> None:
    rig = make(2)
    peers = list(rig.come())
    rig.herd.release([0])
    rig.pump(lambda: len(rig.server.peers) == 1)
    assert sorted(str(peer.closed_with) for peer in peers) == ["1000", "None"]
    assert rig.state(0) == IDLE
    assert rig.drops() == {}
    assert rig.herd.account.take()["counts"].get("drops", 0) == 0
    rig.advance(3600)
    assert rig.state(0) == IDLE


def test_release_while_connecting_leaves_nothing_behind(make: MakeRig) -> None:
    rig = make(1)
    rig.go()
    rig.herd.release([0])
    rig.idle()
    rig.advance(3600)
    assert rig.state() == IDLE
    assert rig.failures() == {}


def test_every_attempt_ends_as_live_failed_or_released(make: MakeRig) -> None:
    rig = make(12, policy=Fixed(0.05), connect_ns=NS_PER_S)
    rig.go()
    quiet = (WAITING, SUBSCRIBING, LIVE)
    for round_ in range(20):
        rig.pump(lambda: sum(rig.herd.slots.population[state] for state in quiet) == len(rig.slots))
        for peer in rig.server.peers[round_ % 3 :: 3]:
            (peer.fin, peer.rst, lambda: peer.say("41"))[round_ % 3]()  # noqa: B023 - called at once
        rig.server.habits.acks = round_ % 4 != 0
        rig.advance(0.06)
    account = rig.herd.account
    ended = account.counts["subscribed"] + sum(account.failures.values())
    assert account.counts["attempts"] == ended + rig.herd.slots.in_flight
    assert account.counts["attempts"] > 20
    assert sum(rig.herd.slots.population) == 12


# --- being back ------------------------------------------------------------------------------------------------------


def recovered(rig: Rig, event: Callable[[], None]) -> tuple[int, int]:
    """Follow an outage over `event`; return (connected, subscribed) members after it."""
    outage = rig.herd.outages.follow("e", rig.clock.now_ns)
    rig.advance(0.001)
    event()
    return outage.curve.connected_now, outage.curve.subscribed_now


def come_back(rig: Rig) -> None:
    rig.herd.drop(rig.slots)
    rig.advance(1.01)
    rig.pump(rig.all_live)


def test_client_is_back_with_its_first_message(make: MakeRig) -> None:
    rig = make(1)
    rig.come()
    assert recovered(rig, lambda: come_back(rig)) == (1, 0)
    outage = rig.herd.outages.follow("again", rig.clock.now_ns)
    come_back(rig)
    rig.say([rig.peer], revision(0, sched_ns=rig.clock.now_ns))
    assert outage.curve.subscribed_now == 1


def test_client_is_back_at_once_when_nothing_is_published(make: MakeRig) -> None:
    rig = make(1, canary=False)
    rig.come()
    assert recovered(rig, lambda: come_back(rig)) == (1, 1)


def test_client_without_a_channel_is_not_waited_for(make: MakeRig) -> None:
    rig = make(2, clients=FewClients(groups=[lambda index: 0 if index == 0 else -1]))
    rig.come()
    assert recovered(rig, lambda: come_back(rig)) == (2, 1)


def test_message_that_comes_before_the_last_acknowledgement_counts_as_the_first(make: MakeRig) -> None:
    rig = make(1, clients=FewClients(groups=[lambda index: 0, lambda index: 1]))
    rig.come()
    outage = rig.herd.outages.follow("e", rig.clock.now_ns)
    rig.server.habits.acks = False
    rig.herd.drop([0])
    rig.advance(1.01)
    rig.pump(lambda: rig.state() == SUBSCRIBING and len(rig.peer.heard) == 3)
    rig.publish(0, 1, sched_ns=rig.clock.now_ns)
    rig.say([rig.peer], '430[{"ok":true}]', revision(0, sched_ns=rig.clock.now_ns))
    rig.peer.say('431[{"ok":true}]')
    rig.pump(rig.all_live)
    assert outage.curve.subscribed_now == 1


# --- nothing a peer says ends the herd -------------------------------------------------------------------------------

SERVER_BYTES = st.one_of(
    st.binary(max_size=64),
    st.lists(
        st.one_of(
            st.sampled_from(
                [
                    text('0{"sid":"s","pingInterval":25000,"pingTimeout":20000}'),
                    text('0{"sid":"s","pingInterval":1e-300,"pingTimeout":1}'),
                    text('40{"sid":"n"}'),
                    text('44{"message":"no"}'),
                    text('430[{"ok":true}]'),
                    text('430[{"ok":false}]'),
                    text('431[{"ok":true}]'),
                    text('43999999999999999999[{"ok":true}]'),
                    text("2"),
                    text("3"),
                    text("41"),
                    text("6"),
                    text('451-["pic",{"_placeholder":true,"num":0}]'),
                    text('450-["pic"]'),
                    text('461-0[{"_placeholder":true,"num":0}]'),
                    text('451-/other,["pic",{"_placeholder":true,"num":0}]'),
                    frame(0x82, b"\1\2"),
                    frame(0x01, b"42"),
                    frame(0x00, b'["x'),
                    frame(0x80, b'"]'),
                    frame(0x89, b"hi"),
                    frame(0x8A),
                    close(1000),
                    frame(0x88, b"\0"),
                    text("[" * 5000),
                    text('42["x",' + "[" * 5000),
                ]
            ),
            st.builds(
                lambda channel, seq, sched_ns, late_ns: text(
                    f'42["revision",{{"text":"{marker(seq, channel=channel, sched_ns=sched_ns, late_ns=late_ns)}"}}]'
                ),
                st.sampled_from([0, 1, 2, 10**19]),
                st.sampled_from([0, 1, 5, 9_999, 10**18]),
                st.sampled_from([0, NS_PER_S, 2 * NS_PER_S, 10**19]),
                st.sampled_from([0, 10**19]),
            ),
            st.builds(text, st.text(max_size=20)),
            st.builds(frame, st.integers(0, 255), st.binary(max_size=20)),
        ),
        max_size=6,
    ).map(b"".join),
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    state=st.sampled_from([UPGRADING, JOINING, SUBSCRIBING, LIVE]),
    said=st.lists(SERVER_BYTES, max_size=3),
    at_once=st.booleans(),
)
def test_nothing_a_peer_says_escapes(state: int, said: list[bytes], at_once: bool) -> None:
    rig = Rig(2, at_once=at_once)
    try:
        habits = rig.server.habits
        habits.upgrades, habits.joins, habits.acks = state > UPGRADING, state > JOINING, state > SUBSCRIBING
        rig.go()
        rig.pump(lambda: all(rig.state(slot) == state for slot in rig.slots))
        rig.server.step()
        for chunk in said:
            for peer in rig.server.peers:
                try:
                    peer.raw(chunk)
                except OSError:  # the herd has hung up
                    continue
            if chunk and rig.herd.slots.population[WAITING] < 2:
                select.select([rig.poller.fileno()], [], [], 0.05)
            rig.herd.turn()
            rig.advance(0.01)
        account = rig.herd.account
        assert sum(rig.herd.slots.population) == 2
        assert account.counts["attempts"] >= account.counts["subscribed"]
        if rig.ledger is not None:
            rig.ledger.close(rig.clock.advance(60))
    finally:
        rig.stop()


def test_session_opened_twice_is_no_fault_of_ours(make: MakeRig) -> None:
    rig = make(1)
    rig.come()
    rig.say([rig.peer], '0{"sid":"s","pingInterval":25000,"pingTimeout":20000}')
    assert rig.state() == LIVE


def test_states_are_in_order_of_progress() -> None:
    assert CONNECTING < BOOTSTRAP < UPGRADING < JOINING < SUBSCRIBING < LIVE
