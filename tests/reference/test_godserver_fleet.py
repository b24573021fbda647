"""Godserver sends clients where there is room, and learns of nodes that come and go while it runs."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from reference_gateway.godserver.bootstrap import Godserver
from reference_gateway.godserver.fleet import Fleet

ONE, TWO, THREE = (f"ws://127.0.0.1:{port}/socket.io/" for port in (2001, 2002, 2003))


def turns(fleet: Fleet, count: int = 60) -> Counter[int]:
    return Counter(fleet.next_node("bifrost-1").port for _ in range(count))


def loaded(*loads: float) -> Fleet:
    fleet = Fleet({"bifrost-1": [ONE, TWO, THREE][: len(loads)]})
    for node, load in zip(fleet.nodes, loads, strict=True):
        fleet.report(node, True, load)
    return fleet


@pytest.mark.parametrize(
    ("loads", "shares"),
    [
        ((0.0, 0.0, 0.0), {2001: 20, 2002: 20, 2003: 20}),
        ((0.75, 0.75, 0.75), {2001: 20, 2002: 20, 2003: 20}),
        ((0.0, 0.9, 0.9), {2001: 60}),
        ((0.95, 0.99, 1.0), {2001: 20, 2002: 20, 2003: 20}),
        ((0.0, 0.5, 0.75), {2001: 35, 2002: 17, 2003: 8}),
    ],
)
def test_turns_go_by_room(loads: tuple[float, ...], shares: dict[int, int]) -> None:
    counted = turns(loaded(*loads))
    assert set(counted) == set(shares)
    assert all(abs(counted[port] - share) <= 1 for port, share in shares.items())


def test_turns_of_a_roomy_node_are_spread_over_the_round() -> None:
    fleet = loaded(0.0, 0.5)
    order = [fleet.next_node("bifrost-1").port for _ in range(6)]
    assert order == [2001, 2002, 2001, 2001, 2002, 2001]


def test_node_that_tells_no_load_keeps_what_it_told() -> None:
    fleet = loaded(0.0, 0.9)
    for node in fleet.nodes:
        fleet.report(node, True)
    assert set(turns(fleet)) == {2001}


def ask(godserver: Godserver, method: bytes, path: bytes, body: object = None, token: str = "t"):
    content = json.dumps(body).encode()
    answer = godserver.handle(method, path, b"client=c1", f"Bearer {token}".encode(), content)
    head, _, rest = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(rest)


def test_fleet_is_replaced_and_what_stays_is_remembered() -> None:
    fleet = loaded(0.9, 0.0)
    godserver = Godserver(fleet, {"bifrost-1": 1.0}, {"beta": True}, "t")
    changes: list[int] = []
    godserver.fleet_changed = lambda: changes.append(len(fleet.nodes))
    assert ask(godserver, b"PUT", b"/v1/fleet", {"bifrost-1": [ONE, THREE]})[0] == 200
    assert changes == [2]
    assert [node.load for node in fleet.nodes] == [0.9, 0.0]
    status, answer = ask(godserver, b"GET", b"/v1/bootstrap")
    assert (status, answer["gateway"]["url"], answer["flags"]) == (200, THREE, {"beta": True})


@pytest.mark.parametrize(
    ("body", "token", "status"),
    [
        ({"bifrost-1": [ONE]}, "guess", 401),
        ({"bifrost-1": []}, "t", 400),
        ({"bifrost-2": [ONE]}, "t", 400),
        ({"bifrost-1": ["http://x"]}, "t", 400),
        ({"bifrost-1": [5]}, "t", 400),
        ([ONE], "t", 400),
        (None, "t", 400),
    ],
)
def test_wrong_fleet_changes_nothing(body: object, token: str, status: int) -> None:
    fleet = loaded(0.0, 0.0)
    godserver = Godserver(fleet, {"bifrost-1": 1.0}, {}, "t")
    assert ask(godserver, b"PUT", b"/v1/fleet", body, token)[0] == status
    assert set(turns(fleet)) == {2001, 2002}
