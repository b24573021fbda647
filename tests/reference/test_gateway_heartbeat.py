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
    assert ticks_of("ping", heartbeat, client, 350) == [100, 200, 300]
    assert "timeout" not in client.events


@pytest.mark.parametrize(
    ("interval_s", "timeout_s", "expected_s"), [(25, 20, 45), (25, 30, 55), (5, 20, 25), (1, 0.5, 1.5)]
)
def test_silent_client_is_closed_a_timeout_after_its_ping(
    interval_s: float, timeout_s: float, expected_s: float
) -> None:
    heartbeat, client = Heartbeat(interval_s, timeout_s, 10, 5), Client(answers=False)
    heartbeat.enter(client)
    first = ticks_of("timeout", heartbeat, client, round(expected_s / heartbeat.tick_s) + 1)[0]
    assert first * heartbeat.tick_s == pytest.approx(expected_s, abs=2 * heartbeat.tick_s)
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
