"""Library clients keep the herd's books: a scripted link instead of a library, no sockets."""

from __future__ import annotations

import select
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gevent
import pytest

from loadtest.clock import NS_PER_S, FakeClock
from loadtest.errors import LocalProtocolError, UsageError
from loadtest.herd.states import IDLE, LIVE, SUBSCRIBING, WAITING
from loadtest.metrics.ledger import Announced
from loadtest.profile.loader import parse_profile
from loadtest.protocol.events import Acked, Delivered
from loadtest.protocol.marker import Marker
from loadtest.users import client_users
from loadtest.users.build import Plan, make_herd
from loadtest.users.client_users import LibraryHerd, Link, SocketIOClientUser, WebSocketClientUser

RUN = "0badcafe"
PROFILE = """
duration = "5s"
target = { url = "ws://127.0.0.1:1/socket.io/" }
subscribe = { event = "subscribe", args = ["{channel}"] }
publish = { event = "say", args = ["{marker}"], rate = "1/s", deadline = "1s" }
reconnect = { policy = "fixed", delay = "2s" }
[population]
connections = 2
channels = [{ name = "c-{n}", count = 1 }]
"""


def profile(text: str = PROFILE) -> Any:
    return parse_profile(text, "test", Path())


class Scripted(Link):
    """Do nothing but remember what was asked."""

    module = "socketio"

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.asked: list[str] = []
        self.closed = False

    def connect(self, library: Any) -> None:
        self.asked.append("connect")

    def subscribe(self, group: int, variables: Mapping[str, object]) -> None:
        self.asked.append(f"subscribe {group} {variables['channel']} {variables['index']}")

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(100 * NS_PER_S)


@pytest.fixture
def herd(clock: FakeClock) -> Iterator[LibraryHerd]:
    wanted = profile()
    kind = type("Kind", (LibraryHerd,), {"profile": wanted, "link": Scripted})
    poller = select.epoll()
    herd = make_herd(Plan(wanted, RUN, clock=clock), poller, listening=True, connections=2, kind=kind)
    assert isinstance(herd, LibraryHerd)
    herd.add(range(2))
    yield herd
    poller.close()


def begin(herd: LibraryHerd, clock: FakeClock, slot: int = 0) -> Scripted:
    """Have a slot connect."""
    herd.schedule(slot, clock())
    clock.advance(0.02)
    herd.tick()
    link = herd.links[slot]
    gevent.sleep(0)
    assert isinstance(link, Scripted)
    return link


def live(herd: LibraryHerd, clock: FakeClock, slot: int = 0) -> Scripted:
    link = begin(herd, clock, slot)
    herd.joined(slot, clock())
    herd.heard_of(slot, Acked(0, (), True), clock())
    assert herd.state(slot) == LIVE
    return link


def test_a_link_connects_joins_and_subscribes_through_the_library(herd: LibraryHerd, clock: FakeClock) -> None:
    link = begin(herd, clock, slot=1)
    assert link.asked == ["connect"]
    clock.advance(0.5)
    herd.joined(1, clock())
    assert herd.state(1) == SUBSCRIBING
    assert link.asked == ["connect", "subscribe 0 c-0 1"]
    herd.heard_of(1, Acked(0, (), True), clock())
    assert herd.state(1) == LIVE
    account = herd.account.take()
    assert account["counts"] == {"attempts": 1, "connected": 1, "subscribed": 1}


def test_a_delivery_goes_into_the_ledger(herd: LibraryHerd, clock: FakeClock) -> None:
    live(herd, clock)
    assert herd.ledger is not None
    clock.advance(0.1)
    sched_ns = clock()
    herd.ledger.announce(Announced(0, 1, 0, sched_ns, 0))
    clock.advance(0.05)
    message = Delivered(Marker(RUN, 0, 1, 0, sched_ns, 0), "say", ())
    herd.heard_of(0, message, clock())
    herd.heard_of(0, message, clock())
    clock.advance(5)
    herd.ledger.close(clock())
    counts = herd.ledger.take()["counts"]
    assert (counts["expected"], counts["delivered"], counts["lost"], counts["duplicated"]) == (1, 1, 0, 1)


def test_a_lost_link_comes_back_by_the_profile_and_the_old_one_says_nothing_more(
    herd: LibraryHerd, clock: FakeClock
) -> None:
    old = live(herd, clock)
    old.ended("eof")
    gevent.sleep(0)
    assert old.closed
    assert (herd.state(0), herd.account.drops["eof"]) == (WAITING, 1)
    old.ended("eof")
    clock.advance(2.1)
    herd.tick()
    assert herd.links[0] is not old
    old.ended("eof")
    assert (herd.account.drops["eof"], herd.account.failures.total()) == (1, 0)
    gevent.sleep(0)


def test_a_failed_connect_is_counted_by_its_reason(herd: LibraryHerd, clock: FakeClock, monkeypatch: Any) -> None:
    def refused(self: Link, library: Any) -> None:
        raise ConnectionRefusedError(111, "refused")

    monkeypatch.setattr(Scripted, "connect", refused)
    begin(herd, clock)
    assert herd.account.failures == {"refused": 1}
    assert herd.state(0) == WAITING


def test_a_connect_that_takes_too_long_is_given_up(herd: LibraryHerd, clock: FakeClock) -> None:
    link = begin(herd, clock)
    clock.advance(10.1)
    herd.tick()
    gevent.sleep(0)
    assert herd.account.failures == {"timeout_connect": 1}
    assert link.closed


@pytest.mark.parametrize("kind", ["blackhole", "half-open", "slow-reader"])
def test_a_library_keeps_its_sockets_to_itself(herd: LibraryHerd, clock: FakeClock, kind: str) -> None:
    live(herd, clock)
    with pytest.raises(UsageError, match=f"fault x: {kind} needs sockets of our own"):
        herd.afflicting.afflict("x", {"kind": kind, "seed": "s", "bytes_per_s": 1}, clock.now_ns)


def test_drop_and_release_close_the_links(herd: LibraryHerd, clock: FakeClock) -> None:
    links = [live(herd, clock, slot) for slot in (0, 1)]
    assert herd.drop([0, 1], reset=True) == 2
    assert herd.account.drops == {"fault_drop": 2}
    herd.release([0, 1])
    gevent.sleep(0)
    assert [link.closed for link in links] == [True, True]
    assert [herd.state(slot) for slot in (0, 1)] == [IDLE, IDLE]
    assert herd.links == {}


def test_raw_frames_have_no_way_through_a_library(herd: LibraryHerd) -> None:
    with pytest.raises(LocalProtocolError, match=r"self\.connection"):
        herd.send(0, b"x")


def test_a_profile_for_another_dialect_is_refused() -> None:
    with pytest.raises(UsageError, match='speaks "websocket", the profile "socketio"'):
        WebSocketClientUser.herd_kind(profile())


def test_a_library_that_is_not_installed_is_named(monkeypatch: Any) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(client_users.importlib, "import_module", missing)
    with pytest.raises(UsageError, match=r"python-socketio\[client\]: pip install 'gateway-loadtest\[clients\]'"):
        SocketIOClientUser.herd_kind(profile())
