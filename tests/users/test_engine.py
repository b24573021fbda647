"""The engine's turns: at once for whoever has a core, in rounds for whoever shares one and has clients on their way."""

from __future__ import annotations

import itertools
import math
import select
import socket
import time
from typing import Any, cast

import gevent
import pytest
from gevent import monkey

from loadtest.herd.herd import Herd
from loadtest.herd.quick import MAX_EVENTS
from loadtest.herd.sharing import VARIABLE
from loadtest.users.core_queue import CoreQueue
from loadtest.users.engine import Engine

REALLY_SLEEP = monkey.get_original("time", "sleep")


class CountingHerd:
    """A herd with one socket that is always readable."""

    def __init__(self, *, quiet: bool, tick_s: float = 0.01) -> None:
        self.poller = cast(Any, monkey.get_original("select", "epoll"))()
        self.near, self.far = socket.socketpair()
        self.poller.register(self.near.fileno(), select.EPOLLIN)
        self.far.send(b"x")
        self.thread = 0
        self.is_quiet = quiet
        self.tick_s = tick_s
        self.ledger = None
        self.turns = self.ticks = 0
        self.full_turns = 0
        self.turn_s = 0.0

    def turn(self) -> int:
        self.turns += 1
        REALLY_SLEEP(self.turn_s)
        self.full_turns -= 1
        return MAX_EVENTS if self.full_turns >= 0 else 1

    def tick(self) -> bool:
        self.ticks += 1
        return False

    def end(self) -> None:
        self.near.close()
        self.far.close()


def watch(*herds: CountingHerd, seconds: float) -> None:
    """Give `herds` an engine of their own for a while."""
    engine = Engine()
    for herd in herds:
        engine.add(cast(Herd, herd))
    try:
        gevent.sleep(seconds)
    finally:
        engine.stop()
        for herd in herds:
            herd.poller.close()
            herd.end()


@pytest.fixture
def _crowded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "5")  # a round of 180 ms


def test_herd_with_a_core_gets_its_turn_at_once() -> None:
    herd = CountingHerd(quiet=False)
    watch(herd, seconds=0.15)
    assert herd.turns > 50
    assert 5 <= herd.ticks <= 20


@pytest.mark.parametrize("herds_per_core", ["0", "1.5"])
def test_clock_is_as_fine_as_the_finest_herd_asks(monkeypatch: pytest.MonkeyPatch, herds_per_core: str) -> None:
    monkeypatch.setenv(VARIABLE, herds_per_core)
    herd = CountingHerd(quiet=False, tick_s=0.002)
    watch(herd, seconds=0.15)
    assert 25 <= herd.ticks <= 90


@pytest.mark.usefixtures("_crowded")
def test_every_herd_of_a_worker_has_its_part_of_each_round() -> None:
    herds = [CountingHerd(quiet=False) for _ in range(3)]
    herds[0].full_turns = 5  # what it leaves over is done after the others
    watch(*herds, seconds=0.4)
    assert min(herd.ticks for herd in herds) >= 2
    assert herds[1].ticks == herds[2].ticks
    assert herds[0].ticks > herds[1].ticks


@pytest.mark.usefixtures("_crowded")
@pytest.mark.parametrize("quiet", [False, True])
def test_herd_of_many_workers_works_in_rounds(quiet: bool) -> None:
    herd = CountingHerd(quiet=quiet)
    watch(herd, seconds=0.4)
    assert 2 <= herd.ticks <= 9
    assert herd.turns <= 2 * herd.ticks


@pytest.mark.usefixtures("_crowded")
@pytest.mark.parametrize(
    ("waited_s", "fewest", "most"),
    [
        pytest.param(0.0, 6, 21, id="nobody wants the core: 50 ms"),
        pytest.param(0.03, 3, 9, id="120 ms"),
        pytest.param(math.inf, 2, 6, id="180 ms at most"),
    ],
)
def test_herd_rests_as_long_as_others_want_the_core(
    monkeypatch: pytest.MonkeyPatch, waited_s: float, fewest: int, most: int
) -> None:
    monkeypatch.setattr(CoreQueue, "waited_s", lambda _: waited_s)
    herd = CountingHerd(quiet=False)
    watch(herd, seconds=1.0)
    assert fewest <= herd.ticks <= most


@pytest.mark.usefixtures("_crowded")
def test_round_goes_on_until_nothing_more_has_come() -> None:
    herd = CountingHerd(quiet=False)
    herd.full_turns = 40
    watch(herd, seconds=0.3)
    assert herd.turns >= 40


@pytest.mark.usefixtures("_crowded")
def test_herd_that_never_finishes_leaves_the_others_their_time() -> None:
    """Locust's greenlets send heartbeats: in a storm as well."""
    herd = CountingHerd(quiet=False)
    herd.full_turns, herd.turn_s = 1_000_000, 0.005
    seen: list[float] = []

    def beat() -> None:
        while True:
            seen.append(time.monotonic())
            gevent.sleep(0.001)

    beating = gevent.spawn(beat)
    watch(herd, seconds=1.0)
    beating.kill()
    assert herd.turns > 50
    gaps = [later - earlier for earlier, later in itertools.pairwise(seen)]
    assert sorted(gaps)[-2] < 0.25  # fifty callbacks in a row, as gevent runs them, would be 0.5 s
    assert herd.ticks * 2 <= herd.turns + 1
