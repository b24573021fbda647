"""The first call of every client: cohorts by hash, nodes by turn, shares by token, HTTP without surprises."""

from __future__ import annotations

import asyncio
import json
import math

import pytest

from reference_gateway.errors import SettingError
from reference_gateway.godserver.bootstrap import Godserver
from reference_gateway.godserver.cohort import Cohorts, position_of
from reference_gateway.godserver.fleet import Fleet
from reference_gateway.godserver.http import IDLE_S, HttpConnection, response, sweep

VERSIONS = ("sync", "bifrost-1")
URLS = {
    "sync": ["ws://127.0.0.1:1001/socket.io/"],
    "bifrost-1": ["ws://127.0.0.1:2001/socket.io/", "ws://127.0.0.1:2002/socket.io/"],
}
CLIENTS = [f"c{number}".encode() for number in range(4000)]


def ask(godserver, method, path, query=b"", authorization=b"", body=b""):
    head, _, content = godserver.handle(method, path, query, authorization, body).partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(content)


def godserver_of(shares=None, flags=None):
    return Godserver(Fleet(URLS), shares or {"sync": 1.0}, flags or {}, "token")


def test_position_is_fixed_for_ever():
    """Literal values: a change would move every client of a running rollout."""
    assert [round(position_of(client), 6) for client in (b"c0", b"c1", b"ann")] == [0.997382, 0.679069, 0.177717]


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.9, 1.0])
def test_share_of_clients_is_within_the_binomial_interval(share):
    cohorts = Cohorts({"sync": 1 - share, "bifrost-1": share}, VERSIONS)
    count = sum(cohorts.version_of(client) == "bifrost-1" for client in CLIENTS)
    expected = share * len(CLIENTS)
    assert abs(count - expected) <= 2.576 * math.sqrt(expected * (1 - share))


def test_growing_share_moves_only_those_who_join():
    few = Cohorts({"sync": 0.8, "bifrost-1": 0.2}, VERSIONS)
    many = Cohorts({"sync": 0.3, "bifrost-1": 0.7}, VERSIONS)
    joined = [client for client in CLIENTS if few.version_of(client) == "bifrost-1"]
    assert joined
    assert all(many.version_of(client) == "bifrost-1" for client in joined)


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ({"sync": 0.5}, "add up to 0.5"),
        ({"sync": 0.6, "bifrost-1": 0.6}, "add up to 1.2"),
        ({"sync": -1, "bifrost-1": 2}, "not a number from 0 to 1"),
        ({"sync": True}, "not a number from 0 to 1"),
        ({"sync": "1"}, "not a number from 0 to 1"),
        ({"sync": float("nan"), "bifrost-1": 1}, "not a number from 0 to 1"),
        ({"bifrost-9": 1}, "no node of version 'bifrost-9'"),
        ([1], "JSON object"),
        ({}, "add up to 0"),
    ],
)
def test_impossible_shares_are_refused(shares, said):
    with pytest.raises(SettingError, match=said):
        Cohorts(shares, VERSIONS)


def test_nodes_take_turns():
    fleet = Fleet(URLS)
    ports = [fleet.next_node("bifrost-1").port for _ in range(4)]
    assert ports == [2001, 2002, 2001, 2002]


def test_unhealthy_node_loses_its_turn_until_it_answers():
    fleet = Fleet(URLS)
    first = fleet.nodes[1]
    assert not fleet.report(first, False)
    assert fleet.report(first, False)
    assert {fleet.next_node("bifrost-1").port for _ in range(4)} == {2002}
    assert fleet.report(first, True)
    assert {fleet.next_node("bifrost-1").port for _ in range(4)} == {2001, 2002}


def test_turns_go_over_all_nodes_when_none_is_healthy():
    fleet = Fleet(URLS)
    for node in fleet.nodes:
        fleet.report(node, False)
        fleet.report(node, False)
    assert {fleet.next_node("bifrost-1").port for _ in range(4)} == {2001, 2002}


@pytest.mark.parametrize("urls", [{}, {"sync": []}, {"sync": ["http://h:1/"]}, {"sync": ["ws://h/"]}])
def test_fleet_without_usable_nodes_is_refused(urls):
    with pytest.raises(SettingError, match="RG_FLEET"):
        Fleet(urls)


def test_bootstrap_names_gateway_version_and_flags():
    status, answer = ask(godserver_of(flags={"beta": True}), b"GET", b"/v1/bootstrap", b"client=c0")
    assert status == 200
    assert answer == {"gateway": {"url": URLS["sync"][0], "version": "sync"}, "flags": {"beta": True}}


@pytest.mark.parametrize("query", [b"", b"x=1", b"client=", b"client=" + b"x" * 257])
def test_bootstrap_without_a_client_is_refused(query):
    assert ask(godserver_of(), b"GET", b"/v1/bootstrap", query)[0] == 400


def test_client_id_is_decoded_before_it_is_hashed():
    godserver = godserver_of({"sync": 0.5, "bifrost-1": 0.5})
    for client in ("a b", "é", "x&y"):
        plain = Cohorts({"sync": 0.5, "bifrost-1": 0.5}, VERSIONS).version_of(client.encode())
        quoted = "".join(f"%{byte:02X}" for byte in client.encode()).encode()
        answer = ask(godserver, b"GET", b"/v1/bootstrap", b"x=1&client=" + quoted)[1]
        assert answer["gateway"]["version"] == plain


def test_shares_change_while_running_with_the_token():
    godserver = godserver_of()
    body = b'{"sync": 0, "bifrost-1": 1}'
    assert ask(godserver, b"PUT", b"/v1/shares", b"", b"Bearer token", body) == (200, {"sync": 0.0, "bifrost-1": 1.0})
    assert ask(godserver, b"GET", b"/v1/bootstrap", b"client=c0")[1]["gateway"]["version"] == "bifrost-1"
    assert ask(godserver, b"GET", b"/v1/shares")[1] == {"sync": 0.0, "bifrost-1": 1.0}


@pytest.mark.parametrize(
    ("authorization", "body", "status"),
    [
        (b"", b"{}", 401),
        (b"Bearer wrong", b'{"sync": 1}', 401),
        (b"Bearer token", b"{", 400),
        (b"Bearer token", b"[]", 400),
    ],
)
def test_shares_stay_when_the_change_is_refused(authorization, body, status):
    godserver = godserver_of()
    assert ask(godserver, b"PUT", b"/v1/shares", b"", authorization, body)[0] == status
    assert ask(godserver, b"GET", b"/v1/shares")[1] == {"sync": 1.0, "bifrost-1": 0.0}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        (b"POST", b"/v1/bootstrap", 405),
        (b"DELETE", b"/v1/shares", 405),
        (b"GET", b"/nope", 404),
        (b"GET", b"/healthz", 200),
    ],
)
def test_paths_and_methods(method, path, status):
    assert ask(godserver_of(), method, path)[0] == status


class Transport(asyncio.Transport):
    def __init__(self):
        super().__init__()
        self.sent = b""
        self.closed = False

    def write(self, data):
        self.sent += data

    def is_closing(self):
        return self.closed

    def close(self):
        self.closed = True


def connect(handler=None):
    seen = []
    connections = set()

    def echo(*request):
        seen.append(request)
        return response(200, {})

    connection = HttpConnection(handler or echo, connections)
    transport = Transport()
    connection.connection_made(transport)
    return connection, transport, seen, connections


def test_request_in_pieces_is_one_request():
    connection, transport, seen, _ = connect()
    for byte in b"PUT /v1/shares?a=b HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer t\r\nContent-Length: 4\r\n\r\nbody":
        connection.data_received(bytes([byte]))
    assert seen == [(b"PUT", b"/v1/shares", b"a=b", b"Bearer t", b"body")]
    assert transport.sent == b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    assert not transport.closed


def test_pipelined_requests_are_answered_in_order():
    connection, transport, seen, _ = connect()
    connection.data_received(b"GET /a HTTP/1.1\r\nAuthorization: x\r\n\r\nGET /b HTTP/1.1\r\n\r\n")
    assert [(path, authorization) for _, path, _, authorization, _ in seen] == [(b"/a", b"x"), (b"/b", b"")]
    assert transport.sent.count(b"200 OK") == 2


@pytest.mark.parametrize("head", [b"GET / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"])
def test_connection_ends_when_the_client_does_not_keep_it(head):
    connection, transport, _, _ = connect()
    connection.data_received(head)
    assert transport.closed


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00", b"400"),
        (b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", b""),
        (b"GET /" + b"x" * 17_000 + b" HTTP/1.1\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\n" + b"A: " + b"x" * 17_000 + b"\r\n\r\n", b"431"),
        (b"PUT / HTTP/1.1\r\nContent-Length: 70000\r\n\r\n" + b"x" * 70_000, b"413"),
    ],
)
def test_garbage_and_excess_close_the_connection(data, status):
    connection, transport, _, _ = connect()
    connection.data_received(data)
    assert transport.closed
    assert status in transport.sent.split(b"\r\n")[0]
    connection.data_received(b"GET / HTTP/1.1\r\n\r\n")


def test_sweep_closes_idle_connections_alone():
    connection, transport, _, connections = connect()
    sweep(connections, connection.seen_s + IDLE_S)
    assert not transport.closed
    sweep(connections, connection.seen_s + IDLE_S + 1)
    assert transport.closed
    connection.connection_lost(None)
    assert connections == set()
