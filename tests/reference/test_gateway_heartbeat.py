"""The wheel: everybody is pinged once per interval, the silent are closed in time, a late tick is not made up for."""

from __future__ import annotations

from typing import Any

import pytest

from reference_gateway.gateway.heartbeat import Heartbeat, Lapse


class Client:
    def __init__(self, *, answers: bool) -> None:
        self.answers = answers
        self.unanswered_tick: int | None = None
        self.bucket: set[Any] | None = None
        self.events: list[str] = []

    def ping(self) -> None:
        self.events.append("ping")
        if self.answers:
            self.unanswered_tick = None

    def ping_timed_out(self) -> None:
        self.events.append("timeout")

    def handshake_timed_out(self) -> None:
        self.events.append("handshake")

    def close_timed_out(self) -> None:
        self.events.append("close")


def ticks_of(event: str, heartbeat: Heartbeat, client: Client, ticks: int) -> list[int]:
    at = []
    for tick in range(1, ticks + 1):
        seen = len(client.events)
        heartbeat.tick()
        at += [tick] * client.events[seen:].count(event)
    return at


@pytest.mark.parametrize("entered_after", [0, 1, 57, 99])
def test_answering_client_is_pinged_once_per_interval(entered_after: int) -> None:
    heartbeat, client = Heartbeat(25, 20, 10, 5), Client(answers=True)
    assert heartbeat.tick_s == 0.25
    for _ in range(entered_after):
        heartbeat.tick()
    heartbeat.enter(client)
    at = ticks_of("ping", heartbeat, client, 350)
    assert 1 <= at[0] <= 100
    assert at == list(range(at[0], 351, 100))
    assert "timeout" not in client.events


@pytest.mark.parametrize(("step_s", "tick_s"), [(0.25, 0.25), (5.6, 5.714), (60.0, 15.0)])
def test_node_that_rests_ticks_seldom_and_never_less_than_eight_times_an_interval(step_s: float, tick_s: float) -> None:
    assert Heartbeat(120, 60, 10, 5, step_s).tick_s == pytest.approx(tick_s, abs=0.001)


@pytest.mark.parametrize("interval_s", [0.3, 1, 25, 120])
@pytest.mark.parametrize("ticks_between", [0, 3])
def test_clients_of_a_storm_are_pinged_evenly_over_the_interval(interval_s: float, ticks_between: int) -> None:
    heartbeat = Heartbeat(interval_s, 20, 10, 5)
    clients = [Client(answers=True) for _ in range(5000)]
    for number, client in enumerate(clients):
        if number % 1000 == 0:
            for _ in range(ticks_between):
                heartbeat.tick()
        heartbeat.enter(client)
    pings = []
    before = sum(len(client.events) for client in clients)
    buckets = round(interval_s / heartbeat.tick_s)
    for _ in range(buckets):
        heartbeat.tick()
        after = sum(len(client.events) for client in clients)
        pings.append(after - before)
        before = after
    assert sum(pings) == 5000
    assert max(pings) - min(pings) <= 1


@pytest.mark.parametrize(("interval_s", "timeout_s"), [(25, 20), (25, 30), (5, 20), (1, 0.5), (120, 60)])
def test_silent_client_is_closed_a_timeout_after_its_ping(interval_s: float, timeout_s: float) -> None:
    heartbeat, client = Heartbeat(interval_s, timeout_s, 10, 5), Client(answers=False)
    heartbeat.enter(client)
    pinged = timed_out = 0
    for tick in range(1, round((interval_s + timeout_s) / heartbeat.tick_s) + 2):
        heartbeat.tick()
        pinged = pinged or (tick if "ping" in client.events else 0)
        timed_out = timed_out or (tick if "timeout" in client.events else 0)
    assert 0 < pinged * heartbeat.tick_s <= interval_s
    assert (timed_out - pinged) * heartbeat.tick_s == pytest.approx(timeout_s, abs=heartbeat.tick_s)
    assert client.events.count("ping") == 1


def test_client_that_left_is_pinged_no_more() -> None:
    heartbeat, client = Heartbeat(1, 1, 10, 5), Client(answers=True)
    heartbeat.enter(client)
    assert list(heartbeat) == [client]
    heartbeat.leave(client)
    heartbeat.leave(client)
    assert list(heartbeat) == []
    assert ticks_of("ping", heartbeat, client, 30) == []


def test_handshake_and_close_lapse_after_their_times() -> None:
    heartbeat, client = Heartbeat(25, 20, 10, 5), Client(answers=True)
    heartbeat.opening(client)
    heartbeat.closing(client)
    for tick in range(1, 60):
        heartbeat.tick()
        assert client.events == ["close"] * (tick >= 20) + ["handshake"] * (tick >= 40)


def test_lapse_gives_each_back_once_and_in_order() -> None:
    lapse, a, b = Lapse(3), Client(answers=True), Client(answers=True)
    lapse.add(a)
    assert lapse.tick() == []
    lapse.add(b)
    assert [lapse.tick(), lapse.tick(), lapse.tick(), lapse.tick()] == [[], [a], [b], []]
