"""The population of a profile, by client index."""

from __future__ import annotations

import pytest

from loadtest.herd.sockets import Target
from loadtest.users.build import make_dialect
from loadtest.users.clients import ProfileClients, channel_groups
from tests.users.conftest import chat

KEY = b"AAAAAAAAAAAAAAAAAAAAAA=="
SECOND = '[[population.channels]]\nname = "vip"\nclients_per_channel = 3\n'


def clients(more: str = "", *, listening: bool = True) -> ProfileClients:
    profile = chat(more)
    return ProfileClients(profile, make_dialect(profile), "0123abcd", listening=listening)


def test_each_group_gives_a_client_one_channel_while_seats_last() -> None:
    population = clients(SECOND)
    assert population.groups == 2
    assert [population.channels(index) for index in (0, 1, 2, 3)] == [[0, 2], [1, 2], [0, 2], [1, -1]]
    assert [population.channel_name(number) for number in range(3)] == ["room 0", "room 1", "vip"]
    assert channel_groups(chat(SECOND)) == [0, 0, 1]


def test_clients_beyond_the_population_share_what_is_open_to_all() -> None:
    assert clients(SECOND).channels(1_000) == [0, -1]


def test_publishers_subscribe_to_nothing() -> None:
    population = clients(SECOND, listening=False)
    assert (population.groups, population.channels(0)) == (0, [])


def test_headers_and_query_are_each_clients_own() -> None:
    population = clients('[client]\nheaders = { Authorization = "Bearer {index}" }\nquery = { user = "{client}" }\n')
    target = Target.of("ws://127.0.0.1:9/socket.io/", None, None)
    requests = [population.upgrade(target, population.variables(index), KEY) for index in (4, 5)]
    assert b"Authorization: Bearer 4\r\n" in requests[0]
    assert b"user=c4" in requests[0].split(b"\r\n")[0]
    assert b"Authorization: Bearer 5\r\n" in requests[1]
    assert requests[0].startswith(b"GET /socket.io/?")


def test_what_is_the_same_for_all_is_made_once_for_each_target() -> None:
    population = clients('[client]\nheaders = { X-Test = "yes" }\n')
    first, second = (Target.of(f"ws://127.0.0.1:{port}/p", None, None) for port in (9, 10))
    assert population.upgrade(first, {}, KEY) == population.upgrade(first, {"index": "7"}, KEY)
    assert b"Host: 127.0.0.1:10\r\n" in population.upgrade(second, {}, KEY)
    assert len(population._known) == 2
    assert b"X-Test: yes\r\n" in population.upgrade(second, {}, KEY)


def test_kept_requests_are_told_apart_by_key_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadtest.users.clients._MOST_REQUESTS", 3)
    population = clients()
    target = Target.of("ws://127.0.0.1:9/p", None, None)
    for number in range(8):
        key = bytes([65 + number]) * 22 + b"=="
        assert b"Sec-WebSocket-Key: " + key in population.upgrade(target, {}, key)
        assert len(population._requests) <= 3


@pytest.mark.parametrize("more", ["", '[client]\nvariables = { token = "t-{index}" }\n'])
def test_variables_are_those_of_the_profile(more: str) -> None:
    assert clients(more).variables(7) == chat(more).variables(7, "0123abcd")
