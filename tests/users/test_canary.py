"""When the master orders canaries: whom it hears, what it tells, what it leaves alone. No network, no publisher."""

from __future__ import annotations

import pytest

from loadtest.clock import NS_PER_S
from loadtest.metrics.books import Books, Gauge
from loadtest.metrics.service_recovery import ServiceRecovery
from loadtest.users import messages
from loadtest.users.canary import Canaries
from tests.users.conftest import chat

T0 = 100 * NS_PER_S
CANARY = """
[recovery]
canary = "{name}"
canary_at = "90%"
canary_every = "5s"
"""
ALL = """
[[population.channels]]
name = "all"
"""


def at(seconds: float) -> int:
    return T0 + round(seconds * NS_PER_S)


class Desk:
    """Canaries with books of one event: ten clients, dropped after 1 s, nine subscribed again after 4 s."""

    def __init__(self, more: str = CANARY.format(name="room {n}")) -> None:
        self.told: list[tuple[str, dict]] = []
        self.said: list[str] = []
        self.books = Books(10, T0 - 20 * NS_PER_S, 10**9, ServiceRecovery(10, 0.1))
        self.event = self.books.open_event("deploy", "deploy", T0)
        curve = self.event.curve
        curve.add_population(10)
        for stage in (curve.connected, curve.acknowledged, curve.subscribed):
            stage(at(1), -10)
        curve.acknowledged(at(4), 9)
        self.heard(4)
        self.canaries = Canaries(chat(more), lambda name, data: self.told.append((name, data)), self.said.append)
        self.canaries.allowed = True

    def heard(self, *seconds: float) -> None:
        self.books.workers = {number: Gauge(seq=1, t_ns=at(second)) for number, second in enumerate(seconds)}

    def look(self, seconds: float) -> int:
        """Return how many canaries were ordered."""
        before = len(self.told)
        self.canaries.look(self.books, at(seconds))
        return len(self.told) - before


def test_the_order_names_the_channels_and_the_moment() -> None:
    desk = Desk()
    assert desk.look(5) == 1
    assert desk.told == [(messages.CANARY, {"first": 0, "number": 2, "at_ns": at(5)})]
    assert desk.said == ["deploy: 9 of 10 are subscribed again and 9 wait for a message: canary to room {n}"]
    assert desk.books.event_figures(desk.event, at(9), None)["canaries_at_s"] == [25.0]


def test_a_group_of_its_own_is_told_by_its_first_channel() -> None:
    desk = Desk(ALL + CANARY.format(name="all"))
    assert desk.look(5) == 1
    assert desk.told == [(messages.CANARY, {"first": 2, "number": 1, "at_ns": at(5)})]


def test_it_is_repeated_after_its_time_until_nobody_waits() -> None:
    desk = Desk()
    looks = []
    for second in range(5, 25):
        if second == 18:
            desk.event.curve.subscribed(at(17), 9)
        desk.heard(second)
        looks += [second] * desk.look(second)
    assert looks == [5, 10, 15]
    assert desk.event.canaries_ns == [at(5), at(10), at(15)]


def test_the_worker_that_has_told_least_decides_the_moment() -> None:
    desk = Desk()
    desk.heard(4.5, 3.9)
    assert desk.look(5) == 0
    desk.books.lose(1)
    assert desk.look(5) == 1


@pytest.mark.parametrize("state", ["no key", "quiet", "at work", "closed", "nobody heard"])
def test_no_canary(state: str) -> None:
    desk = Desk("" if state == "no key" else CANARY.format(name="room {n}"))
    desk.canaries.allowed = state != "quiet"
    desk.event.at_work = state == "at work"
    desk.event.closed = state == "closed"
    if state == "nobody heard":
        desk.books.workers = {}
    assert desk.look(5) == 0
    assert "canaries_at_s" not in desk.books.event_figures(desk.event, at(9), None)


def test_one_canary_serves_all_events() -> None:
    desk = Desk()
    other = desk.books.open_event("other", "drop", T0)
    other.curve.merge_wire(desk.event.curve.take())
    assert desk.look(5) == 1
    assert [event.canaries_ns for event in desk.books.events.values()] == [[at(5)], [at(5)]]
