"""An order to leave: who it names, at what pace a node follows it, and who may give it."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import urlsplit

import pytest

from reference_gateway.errors import SettingError
from reference_gateway.gateway.leave import pace
from reference_gateway.godserver.cohort import Cohorts
from reference_gateway.relocation import Relocation, is_authorized

HALF = {"sync": 0.5, "bifrost-1": 0.5}
CLIENTS = [f"c{number}" for number in range(200)]
TOKEN = "order-token"


def post(query: str, token: str = TOKEN) -> bytes:
    head = f"POST /v1/leave?{query} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\nContent-Length: 0\r\n\r\n"
    return head.encode()


def test_order_survives_its_query_string() -> None:
    for order in (Relocation(HALF, 0.0, 2.5), Relocation(None, 0.25, 0.0)):
        assert Relocation.parse(order.query) == order


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "allowed is"),
        ("part=0.5&shares=a:1", "allowed is"),
        ("part=0.5&who=me", "allowed is"),
        ("part=2", "part"),
        ("part=nan", "part"),
        ("part=0.5&over=-1", "over"),
        ("shares=a:0.4,b:0.4", "add up to 0.8"),
        ("shares=a", "shares"),
    ],
)
def test_order_that_cannot_be_read_is_refused(query: str, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        Relocation.parse(query)


def test_those_of_another_cohort_leave_and_nobody_else() -> None:
    order, cohorts = Relocation(HALF, 0.0, 0.0), Cohorts(HALF, ("sync", "bifrost-1"))
    for version in HALF:
        leaving = {CLIENTS[place] for place in order.choose(version, CLIENTS)}
        staying = set(CLIENTS) - leaving
        assert leaving
        assert {cohorts.version_of(client.encode()) for client in staying} == {version}
        assert version not in {cohorts.version_of(client.encode()) for client in leaving}


def test_connection_without_an_id_yet_is_left_alone() -> None:
    assert Relocation({"sync": 0.0, "bifrost-1": 1.0}, 0.0, 0.0).choose("sync", ["", "c1", ""]) == [1]


@pytest.mark.parametrize(("part", "leave"), [(0.0, 0), (0.1, 20), (0.25, 50), (1.0, 200)])
def test_part_is_taken_evenly_from_all(part: float, leave: int) -> None:
    places = Relocation(None, part, 0.0).choose("sync", CLIENTS)
    assert len(set(places)) == leave
    assert all(0 <= place < len(CLIENTS) for place in places)
    if leave:
        assert max(places) >= len(CLIENTS) - len(CLIENTS) / leave - 1


@pytest.mark.parametrize(("header", "so"), [("Bearer t", True), ("Bearer x", False), ("", False), ("Bearer é", False)])
def test_only_the_token_opens(header: str, so: bool) -> None:
    assert is_authorized("t", header) is so


def test_pace_spreads_the_closes() -> None:
    async def scenario() -> list[float]:
        loop, closed = asyncio.get_running_loop(), []
        start_s = loop.time()
        await pace(range(10), 0.2, lambda _: closed.append(loop.time() - start_s))
        return closed

    closed = asyncio.run(scenario())
    assert len(closed) == 10
    assert closed[0] < 0.05
    assert 0.1 < closed[-1] < 0.4


def test_node_sends_away_whom_the_order_names(run_node) -> None:
    async def scenario(node, client_of) -> None:
        clients = {name: client_of(node).join(json.dumps({"client": name})) for name in CLIENTS[:40]}
        caller = client_of(node)
        caller.send(post("shares=sync:0.5,bifrost-1:0.5"))
        head, _, body = caller.took().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 202 ")
        await asyncio.sleep(0)
        told = {name for name, client in clients.items() if client.took_frames()}
        assert json.loads(body) == {"leaving": len(told)}
        cohorts = Cohorts(HALF, ("sync", "bifrost-1"))
        assert told == {name for name in clients if cohorts.version_of(name.encode()) == "sync"}

    run_node(scenario, order_token=TOKEN, version="bifrost-1")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (post("part=1", "guess"), b"401"),
        (post("part=7"), b"400"),
        (post("part=1").replace(b"POST", b"GET"), b"405"),
    ],
)
def test_node_refuses_what_is_no_order_of_the_stack(run_node, request_: bytes, status: bytes) -> None:
    async def scenario(node, client_of) -> None:
        client, caller = client_of(node).join('{"client":"c1"}'), client_of(node)
        caller.send(request_)
        assert caller.took().split()[1] == status
        await asyncio.sleep(0)
        assert client.took() == b""

    run_node(scenario, order_token=TOKEN)


def test_node_without_a_token_has_no_such_path(run_node) -> None:
    async def scenario(node, client_of) -> None:
        caller = client_of(node)
        caller.send(post("part=1", ""))
        assert caller.took().split()[1] == b"404"

    assert urlsplit(post("part=1").split()[1].decode()).path == "/v1/leave"
    run_node(scenario)
