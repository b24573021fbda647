"""Openings against scripted bytes: what a server may answer at each step, cut wherever one likes."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.errors import UsageError
from loadtest.herd.clients import Bootstrap
from loadtest.herd.opening import Opening, Step
from loadtest.herd.sockets import Target
from loadtest.herd.states import BOOTSTRAP, CONNECTING, JOINING, UPGRADING
from loadtest.herd.wires import Wires
from tests.herd.peers import FewClients, close, text

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class ScriptedWires:
    """Stands in for `Wires`: what the server sends is queued, what it gets is written down."""

    def __init__(self) -> None:
        self.opened: list[tuple[str, int]] = []
        self.sent: list[bytes] = []
        self.incoming: list[tuple[bytes, str | None]] = []
        self.errors: dict[tuple[str, int], str] = {}
        self.refused_at_once: dict[tuple[str, int], str] = {}
        self.closed = 0

    def open(self, slot: int, target: Target, source: str | None) -> str | None:
        self.opened.append(target.address)
        return self.refused_at_once.get(target.address)

    def error(self, slot: int) -> str | None:
        return self.errors.get(self.opened[-1])

    def send(self, slot: int, data: bytes) -> str | None:
        self.sent.append(data)
        return None

    def receive(self, slot: int) -> tuple[bytes, str | None]:
        return self.incoming.pop(0)

    def close(self, slot: int, *, reset: bool = False) -> None:
        self.closed += 1


def target(url: str = "ws://127.0.0.1:8001/socket.io/") -> Target:
    return Target.of(url)


class Client:
    """One opening on slot 0, driven by hand."""

    def __init__(self, bootstrap: Bootstrap | None = None, to: Target | None = None, resolve: Any = Target.of) -> None:
        self.wires = ScriptedWires()
        self.opening = Opening(FewClients(), [to or target()], bootstrap, resolve)
        self.opening.use(cast(Wires, self.wires))
        self.state = CONNECTING

    def begin(self, source: str | None = None) -> str | None:
        self.state = CONNECTING
        return self.opening.begin(0, 0, source)

    def go(self, data: bytes = b"", end: str | None = None) -> Step:
        """Give the opening one edge with `data`."""
        if self.state != CONNECTING:
            self.wires.incoming.append((data, end))
        step = self.opening.advance(0, self.state)
        self.state = step.state
        return step

    def connect(self) -> Step:
        assert self.begin() is None
        return self.go()

    def accept(self) -> bytes:
        """Return the answer that accepts the last request."""
        key = re.search(rb"Sec-WebSocket-Key: (\S+)\r\n", self.wires.sent[-1])
        assert key is not None
        digest = base64.b64encode(hashlib.sha1(key[1] + GUID).digest())
        head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        return head + b"Sec-WebSocket-Accept: " + digest + b"\r\n\r\n"


def test_transport_up_sends_the_request() -> None:
    client = Client()
    assert client.connect() == Step(UPGRADING)
    assert client.wires.sent[0].startswith(b"GET /socket.io/ HTTP/1.1\r\nHost: 127.0.0.1:8001\r\n")


@given(cuts=st.lists(st.integers(0, 140), max_size=6), rest=st.sampled_from([b"", text("0{}"), b"\x81"]))
def test_upgrade_is_accepted_in_pieces_and_what_follows_is_handed_on(cuts: list[int], rest: bytes) -> None:
    client = Client()
    client.connect()
    answer = client.accept()
    places = [0, *sorted(min(cut, len(answer) - 1) for cut in cuts), len(answer)]
    for start, stop in pairwise(places[:-1]):
        assert client.go(answer[start:stop]) == Step(UPGRADING)
    assert client.go(answer[places[-2] :] + rest) == Step(JOINING, rest=rest)


def test_end_behind_the_upgrade_is_handed_on_with_the_frames() -> None:
    client = Client()
    client.connect()
    assert client.go(client.accept() + close(1013), "eof") == Step(JOINING, rest=close(1013), end="eof")


@pytest.mark.parametrize(
    ("answer", "end", "reason"),
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", None, "http_403"),
        (b"HTTP/1.1 503 Busy\r\nRetry-After: 3\r\nContent-Length: 900\r\n\r\nbu", None, "http_503"),
        (b"HTTP/1.1 503 Busy\r\n\r\n", "eof", "http_503"),
        (b"HTTP/1.1 200 OK\r\n\r\n", None, "http_200"),
        (b"SSH-2.0-OpenSSH\r\n", None, "garbage"),
        (b"HTTP/1.1 101\r\n\r\n", None, "bad_upgrade"),
        (
            b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: bm8=\r\n\r\n",
            None,
            "bad_accept",
        ),
        (b"HTTP/1.1 101 X\r\nX: " + b"x" * 20_000, None, "head_too_large"),
        (b"HTTP/1.1 101 Switch", "eof", "upgrade_eof"),
        (b"", "eof", "upgrade_eof"),
        (b"", "reset", "upgrade_reset"),
    ],
)
def test_upgrade_that_fails_is_told_by_reason(answer: bytes, end: str | None, reason: str) -> None:
    client = Client()
    client.connect()
    assert client.go(answer, end).failed == reason


@pytest.mark.parametrize("reason", ["refused", "reset", "timeout_tcp"])
def test_transport_that_fails_is_told_by_reason(reason: str) -> None:
    client = Client()
    client.wires.errors[target().address] = reason
    assert client.connect().failed == reason


def test_connect_that_fails_at_once_is_told() -> None:
    client = Client()
    client.wires.refused_at_once[target().address] = "no_file_descriptor"
    assert client.begin() == "no_file_descriptor"


def test_nothing_is_remembered_of_an_opening_that_ended() -> None:
    client = Client()
    client.connect()
    client.opening.forget(0)
    client.opening.forget(0)
    assert not client.opening._progress
    assert not client.opening._variables
    client.connect()
    client.go(client.accept())
    assert not client.opening._progress
    assert client.opening.variables(0)["client"] == "c0"


def test_handshake_keys_repeat_only_after_a_while() -> None:
    client = Client()
    keys = []
    for _ in range(5):
        client.connect()
        keys.append(re.search(rb"Key: (\S+)", client.wires.sent[-1])[1])  # type: ignore[index]
    assert len(set(keys)) == 5


# --- several addresses -----------------------------------------------------------------------------------------------

V4, V6, OTHER = ("127.0.0.1", 8001), ("::1", 8001), ("127.0.0.2", 8001)


def both() -> Target:
    parts = ("localhost:8001", "localhost", "/")
    others = (Target("ws://localhost:8001/", 2, V4, *parts), Target("ws://localhost:8001/", 2, OTHER, *parts))
    return Target("ws://localhost:8001/", 10, V6, *parts, others=others)


def test_next_address_is_tried_within_the_attempt_and_remembered() -> None:
    client = Client(to=both())
    client.wires.errors = {V6: "refused"}
    assert client.connect() == Step(CONNECTING)
    assert client.go() == Step(UPGRADING)
    assert client.wires.opened == [V6, V4]
    assert client.wires.closed == 1
    client.connect()
    assert client.wires.opened == [V6, V4, V4], "the next client goes where the first was let in"


def test_address_that_fails_at_once_is_passed_over() -> None:
    client = Client(to=both())
    client.wires.refused_at_once = {V6: "unreachable"}
    assert client.connect() == Step(UPGRADING)
    assert client.wires.opened == [V6, V4]


def test_attempt_fails_when_no_address_is_left() -> None:
    client = Client(to=both())
    client.wires.errors = {V6: "refused", V4: "refused", OTHER: "unreachable"}
    assert client.connect() == Step(CONNECTING)
    assert client.go() == Step(CONNECTING)
    assert client.go().failed == "unreachable"
    assert client.wires.opened == [V6, V4, OTHER]


def test_address_that_never_answers_makes_the_next_attempt_begin_elsewhere() -> None:
    client = Client(to=both())
    client.begin()
    client.opening.forget(0)  # the herd gave up waiting
    client.begin()
    assert client.wires.opened == [V6, V4]


def test_address_that_answered_stays_the_favourite_when_its_session_ends() -> None:
    client = Client(to=both())
    client.connect()
    client.opening.forget(0)
    client.begin()
    assert client.wires.opened == [V6, V6]


def test_address_that_answers_again_is_found_after_the_favourite_went() -> None:
    client = Client(to=both())
    client.wires.errors = {V6: "refused"}
    client.connect()
    client.go()
    client.wires.errors = {V4: "refused"}
    client.connect()
    assert client.go() == Step(UPGRADING)
    assert client.wires.opened[-2:] == [V4, V6]


# --- bootstrap -------------------------------------------------------------------------------------------------------


def bootstrap(path: str = "gateway.url", *, once: bool = False) -> Bootstrap:
    return Bootstrap(target("http://127.0.0.1:9000/v1/bootstrap?client={client}"), tuple(path.split(".")), once)


def answer(body: str, status: str = "200 OK", head: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body.encode())}\r\n{head}\r\n{body}".encode()


GATEWAY = '{"gateway":{"url":"ws://127.0.0.1:8002/socket.io/"}}'


def test_bootstrap_is_asked_for_this_client_and_names_the_gateway() -> None:
    client = Client(bootstrap())
    assert client.connect() == Step(BOOTSTRAP)
    assert client.wires.sent[0].startswith(b"GET /v1/bootstrap?client=c0 HTTP/1.1\r\nHost: 127.0.0.1:9000\r\n")
    assert client.go(answer(GATEWAY)) == Step(CONNECTING)
    assert client.wires.opened == [("127.0.0.1", 9000), ("127.0.0.1", 8002)]
    assert client.go() == Step(UPGRADING)
    assert b"Host: 127.0.0.1:8002\r\n" in client.wires.sent[1]
    assert client.go(client.accept()) == Step(JOINING)


def test_bootstrap_answer_without_a_length_ends_with_the_connection() -> None:
    client = Client(bootstrap())
    client.connect()
    assert client.go(f"HTTP/1.1 200 OK\r\n\r\n{GATEWAY[:10]}".encode()) == Step(BOOTSTRAP)
    assert client.go(GATEWAY[10:].encode(), "eof") == Step(CONNECTING)


@pytest.mark.parametrize(
    ("data", "end", "reason"),
    [
        (answer("{}", "500 Oops"), None, "bootstrap_http_500"),
        (answer("{}", "302 Found"), None, "bootstrap_http_302"),
        (answer("not json"), None, "bootstrap_answer"),
        (answer('{"gateway":{}}'), None, "bootstrap_answer"),
        (answer('{"gateway":"ws://x/"}'), None, "bootstrap_answer"),
        (answer("[]"), None, "bootstrap_answer"),
        (answer('{"gateway":{"url":7}}'), None, "bootstrap_answer"),
        (answer('{"gateway":{"url":"http://127.0.0.1/"}}'), None, "bootstrap_answer"),
        (answer('{"gateway":{"url":"ws://[::1"}}'), None, "bootstrap_answer"),
        (answer('{"gateway":{"url":"ws://127.0.0.1:99999/"}}'), None, "bootstrap_answer"),
        (answer('{"gateway":{"url":"ws://127.0.0.1:x/"}}'), None, "bootstrap_answer"),
        (answer('{"gateway":{"url":"ws://a..b/"}}'), None, "bootstrap_answer"),
        (answer('{"gateway":{"url":"ws:///only-a-path"}}'), None, "bootstrap_answer"),
        (answer('{"gateway":{"url":"ws://\\u0000/"}}'), None, "bootstrap_answer"),
        (answer("[" * 60_000), None, "bootstrap_answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xff\xfe", None, "bootstrap_answer"),
        (b"220 smtp ready\r\n", None, "bootstrap_garbage"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n", None, "bootstrap_body_too_large"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", "eof", "bootstrap_garbage"),
        (b"", "eof", "bootstrap_eof"),
        (b"", "reset", "bootstrap_reset"),
    ],
)
def test_bootstrap_that_fails_is_told_by_reason(data: bytes, end: str | None, reason: str) -> None:
    client = Client(bootstrap())
    client.connect()
    assert client.go(data, end).failed == reason


def test_bootstrap_path_may_lead_through_a_list() -> None:
    client = Client(bootstrap("gateways.1.url"))
    client.connect()
    assert client.go(answer('{"gateways":[{"url":"x"},{"url":"ws://127.0.0.1:8003/"}]}')) == Step(CONNECTING)


@pytest.mark.parametrize(("once", "asked"), [(True, 1), (False, 3)])
def test_bootstrap_once_or_with_every_connect(once: bool, asked: int) -> None:
    client = Client(bootstrap(once=once))
    for _ in range(3):
        if client.connect().state == BOOTSTRAP:
            client.go(answer(GATEWAY))
            client.go()
        client.go(client.accept())
    assert client.wires.opened.count(("127.0.0.1", 9000)) == asked
    assert client.wires.opened.count(("127.0.0.1", 8002)) == 3


def test_bootstrap_may_name_another_gateway_and_looks_each_up_once() -> None:
    asked: list[str] = []

    def resolve(url: str) -> Target:
        asked.append(url)
        return Target.of(url)

    client = Client(bootstrap(), resolve=resolve)
    for url in ("ws://127.0.0.1:8002/", "ws://127.0.0.1:8003/", "ws://127.0.0.1:8002/"):
        client.connect()
        client.go(answer(f'{{"gateway":{{"url":"{url}"}}}}'))
    assert asked == ["ws://127.0.0.1:8002/", "ws://127.0.0.1:8003/"]
    assert [port for _, port in client.wires.opened if port != 9000] == [8002, 8003, 8002]


def test_gateway_that_cannot_be_looked_up_is_a_bad_answer() -> None:
    def resolve(url: str) -> Target:
        raise UsageError("no such host")

    client = Client(bootstrap(), resolve=resolve)
    client.connect()
    assert client.go(answer(GATEWAY)).failed == "bootstrap_answer"


def test_names_of_gateways_are_bounded() -> None:
    client = Client(bootstrap(), resolve=lambda url: target())
    for number in range(1024):
        client.opening._named[str(number)] = target()
    client.connect()
    assert client.go(answer(GATEWAY)).failed == "bootstrap_answer"


@given(data=st.binary(max_size=200), end=st.sampled_from([None, "eof", "reset"]))
def test_no_answer_raises(data: bytes, end: str | None) -> None:
    make: list[Callable[[], Client]] = [Client, lambda: Client(bootstrap())]
    for client in (build() for build in make):
        client.connect()
        assert isinstance(client.go(b"HTTP/1.1 200 OK\r\n" + data, end), Step)
        client.connect()
        assert isinstance(client.go(data, end), Step)
