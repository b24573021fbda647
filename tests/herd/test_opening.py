"""Openings against scripted bytes: what a server may answer at each step, cut wherever one likes."""

from __future__ import annotations

import base64
import hashlib
import re
import ssl
from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.errors import LocalProtocolError, UsageError
from loadtest.herd.clients import Bootstrap
from loadtest.herd.opening import Opening, Step
from loadtest.herd.sockets import Target
from loadtest.herd.states import BOOTSTRAP, CONNECTING, JOINING, TLS, UPGRADING
from loadtest.herd.wires import Wires
from tests.herd.peers import FewClients, close, text

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class ScriptedWires:
    """Stands in for `Wires`: what the server sends is queued, what it gets is written down.

    A connection that stands at once takes its first bytes at once, or fails by that write; another one is told by the
    poller: the test's next edge.
    """

    def __init__(self, *, at_once: bool) -> None:
        self.at_once = at_once
        self.slow: set[tuple[str, int]] = set()
        self.opened: list[tuple[str, int]] = []
        self.sent: list[bytes] = []
        self.incoming: list[tuple[bytes, str | None]] = []
        self.read_to_the_end: list[bool] = []
        self.errors: dict[tuple[str, int], str] = {}
        self.refused_at_once: dict[tuple[str, int], str] = {}
        self.send_fails: str | None = None
        self.tls_fails: str | None = None
        self.secure = False
        self.closed = 0

    def open(self, slot: int, target: Target, source: str | None, first: bytes = b"") -> tuple[bool, str | None]:
        address = target.address
        self.opened.append(address)
        if address in self.refused_at_once:
            return False, self.refused_at_once[address]
        if not first or not self.at_once or address in self.slow:
            return False, None
        if address in self.errors:
            return False, self.errors[address]
        self.sent.append(first)
        return True, None

    def error(self, slot: int) -> str | None:
        return self.errors.get(self.opened[-1])

    def begin_tls(self, slot: int, target: Target) -> str | None:
        return self.tls_fails

    def is_secure(self, slot: int) -> bool:
        return self.secure

    def send(self, slot: int, data: bytes) -> str | None:
        self.sent.append(data)
        return self.send_fails

    def receive(self, slot: int, *, to_the_end: bool = True) -> tuple[bytes, str | None]:
        self.read_to_the_end.append(to_the_end)
        return self.incoming.pop(0)

    def close(self, slot: int, *, reset: bool = False) -> None:
        self.closed += 1


def target(url: str = "ws://127.0.0.1:8001/socket.io/") -> Target:
    return Target.of(url)


class Client:
    """One opening on slot 0, driven by hand; its connections stand at once or when the poller says so."""

    def __init__(
        self,
        bootstrap: Bootstrap | None = None,
        to: Target | None = None,
        resolve: Any = Target.of,
        clients: FewClients | None = None,
        *,
        at_once: bool,
    ) -> None:
        self.wires = ScriptedWires(at_once=at_once)
        self.opening = Opening(clients or FewClients(), [to or target()], bootstrap, resolve)
        self.opening.use(cast(Wires, self.wires))
        self.state = CONNECTING

    def begin(self, source: str | None = None) -> Step:
        step = self.opening.begin(0, 0, source)
        self.state = step.state
        return step

    def go(self, data: bytes = b"", end: str | None = None) -> Step:
        """Give the opening one edge with `data`; a first answer is looked up before it is read, as the herd does."""
        if self.wires.at_once and self.state == UPGRADING and end is None:
            rest = self.opening.welcomed(0, data)
            if rest is not None:
                self.state = JOINING
                return Step(JOINING, rest=rest)
        if self.state != CONNECTING:
            self.wires.incoming.append((data, end))
        step = self.opening.advance(0, self.state, ended=end is not None)
        self.state = step.state
        return step

    def connect(self) -> Step:
        """Begin, and give edges until the transport stands or has failed; it takes none where it stands at once."""
        return self._wait(self.begin())

    def follow(self, data: bytes, end: str | None = None) -> Step:
        """Give one edge with `data`, and edges until the connection to which it leads stands."""
        return self._wait(self.go(data, end))

    def _wait(self, step: Step) -> Step:
        if not self.wires.at_once and step.failed is None:
            assert step == Step(CONNECTING)
        while step == Step(CONNECTING):
            assert not self.wires.at_once or self.wires.slow, "an edge was needed"
            step = self.go()
        return step

    def accept(self) -> bytes:
        """Return the answer that accepts the last request."""
        key = re.search(rb"Sec-WebSocket-Key: (\S+)\r\n", self.wires.sent[-1])
        assert key is not None
        digest = base64.b64encode(hashlib.sha1(key[1] + GUID).digest())
        head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        return head + b"Sec-WebSocket-Accept: " + digest + b"\r\n\r\n"


MakeClient = Callable[..., Client]


@pytest.fixture(params=[True, False], ids=["at once", "by the poller"])
def make(request: pytest.FixtureRequest) -> MakeClient:
    return partial(Client, at_once=request.param)


@pytest.fixture
def client(make: MakeClient) -> Client:
    return make()


def test_transport_up_sends_the_request_once(client: Client) -> None:
    assert client.connect() == Step(UPGRADING)
    assert len(client.wires.sent) == 1
    assert client.wires.sent[0].startswith(b"GET /socket.io/ HTTP/1.1\r\nHost: 127.0.0.1:8001\r\n")


@given(
    cuts=st.lists(st.integers(0, 140), max_size=6),
    rest=st.sampled_from([b"", text("0{}"), b"\x81"]),
    at_once=st.booleans(),
)
def test_upgrade_is_accepted_in_pieces_and_what_follows_is_handed_on(
    cuts: list[int], rest: bytes, at_once: bool
) -> None:
    client = Client(at_once=at_once)
    client.connect()
    answer = client.accept()
    places = [0, *sorted(min(cut, len(answer) - 1) for cut in cuts), len(answer)]
    for start, stop in pairwise(places[:-1]):
        assert client.go(answer[start:stop]) == Step(UPGRADING)
    assert client.go(answer[places[-2] :] + rest) == Step(JOINING, rest=rest)


def test_end_behind_the_upgrade_is_handed_on_with_the_frames(client: Client) -> None:
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
def test_upgrade_that_fails_is_told_by_reason(client: Client, answer: bytes, end: str | None, reason: str) -> None:
    client.connect()
    assert client.go(answer, end).failed == reason


@pytest.mark.parametrize("reason", ["refused", "reset", "timeout_tcp"])
def test_transport_that_fails_is_told_by_reason(client: Client, reason: str) -> None:
    client.wires.errors[target().address] = reason
    assert client.connect().failed == reason


def test_connect_that_fails_at_once_is_told(client: Client) -> None:
    client.wires.refused_at_once[target().address] = "no_file_descriptor"
    assert client.begin().failed == "no_file_descriptor"
    assert client.wires.sent == []


def test_request_that_cannot_be_sent_is_told_by_reason() -> None:
    client = Client(at_once=False)
    client.wires.send_fails = "reset"
    assert client.connect() == Step(UPGRADING, failed="reset")


class Unspeakable(FewClients):
    """Clients whose request cannot be written."""

    def upgrade(self, target: Target, variables: Mapping[str, object], key: bytes) -> bytes:
        raise LocalProtocolError("a header holds CR")


def test_request_that_cannot_be_written_fails_before_anything_is_opened(make: MakeClient) -> None:
    client = make(to=both(), clients=Unspeakable())
    assert client.begin().failed == LocalProtocolError("").reason
    client.opening.forget(0)
    assert client.wires.opened == []
    assert client.opening._answering == {}, "no address was given up: all keep their turn"


@pytest.mark.parametrize("end", [None, "eof"])
def test_edge_without_a_hang_up_is_read_shortly(client: Client, end: str | None) -> None:
    client.connect()
    client.go(b"HTTP/1.1 101", end)
    assert client.wires.read_to_the_end == [end is not None]


# --- TLS -------------------------------------------------------------------------------------------------------------


def secure() -> Target:
    return Target.of("wss://127.0.0.1:8001/socket.io/", ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


def test_nothing_is_asked_in_the_clear_where_tls_is_wanted() -> None:
    client = Client(to=secure(), at_once=True)
    assert client.begin() == Step(CONNECTING)
    assert client.go() == Step(TLS)
    assert client.go() == Step(TLS)
    assert client.wires.sent == []
    client.wires.secure = True
    assert client.go() == Step(UPGRADING)
    assert len(client.wires.sent) == 1
    assert client.go(client.accept()) == Step(JOINING)


def test_tls_that_cannot_begin_is_told() -> None:
    client = Client(to=secure(), at_once=True)
    client.wires.tls_fails = "tls_server_name"
    client.begin()
    assert client.go().failed == "tls_server_name"


@pytest.mark.parametrize(
    ("end", "reason"), [("eof", "tls_eof"), ("reset", "tls_reset"), ("tls_certificate", "tls_certificate")]
)
def test_tls_that_fails_is_told_by_reason(end: str, reason: str) -> None:
    client = Client(to=secure(), at_once=True)
    client.begin()
    client.go()
    assert client.go(b"", end).failed == reason


# --- answers that are known ------------------------------------------------------------------------------------------


def test_known_answer_is_read_by_its_bytes(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client.opening, "_keys", client.opening._keys[:1] * 32)
    client.connect()
    client.go(client.accept())
    monkeypatch.setattr("loadtest.herd.opening.parse_response", None)  # not to be called again
    client.connect()
    assert client.go(client.accept() + text("0{}")) == Step(JOINING, rest=text("0{}"))
    client.connect()
    assert client.go(client.accept() + close(1013), "eof") == Step(JOINING, rest=close(1013), end="eof")


def test_known_answer_to_another_key_is_refused(client: Client) -> None:
    client.connect()
    welcome = client.accept()
    assert client.go(welcome) == Step(JOINING)
    for _ in range(2):
        client.connect()
        assert client.go(welcome).failed == "bad_accept"
    client.connect()
    assert client.go(client.accept()) == Step(JOINING)


def test_refused_answers_are_not_known(client: Client) -> None:
    for status in (b"HTTP/1.1 503 Busy\r\n\r\n", b"HTTP/1.1 101 X\r\n\r\n"):
        for _ in range(2):
            client.connect()
            assert client.go(status).failed in ("http_503", "bad_upgrade")
    assert client.opening._welcomes == {}


def test_known_answers_are_bounded_in_number_and_the_newest_are_kept(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loadtest.herd.opening._MOST_WELCOMES", 4)
    for number in range(10):
        client.connect()
        welcome = client.accept().replace(b"\r\n\r\n", b"\r\nDate: %d\r\n\r\n" % number)
        assert client.go(welcome) == Step(JOINING)
        assert welcome in client.opening._welcomes
        assert len(client.opening._welcomes) <= 4


def test_long_answers_are_good_but_not_kept(client: Client) -> None:
    for filler in (b"HTTP/1.1 103 Hints\r\nX: " + b"x" * 2000 + b"\r\n\r\n", b""):
        client.connect()
        welcome = client.accept()
        if not filler:
            welcome = welcome.replace(b"\r\n\r\n", b"\r\nX: " + b"x" * 2000 + b"\r\n\r\n")
        assert client.go(filler + welcome) == Step(JOINING)
    assert client.opening._welcomes == {}


def test_nothing_is_remembered_of_an_opening_that_ended(client: Client) -> None:
    client.connect()
    client.opening.forget(0)
    client.opening.forget(0)
    assert not client.opening._progress
    assert not client.opening._variables
    client.connect()
    client.go(client.accept())
    assert not client.opening._progress
    assert client.opening.variables(0)["client"] == "c0"


def test_handshake_keys_repeat_only_after_a_while(client: Client) -> None:
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


def test_next_address_is_tried_within_the_attempt_and_remembered(make: MakeClient) -> None:
    client = make(to=both())
    client.wires.errors = {V6: "refused"}
    assert client.connect() == Step(UPGRADING)
    assert client.wires.opened == [V6, V4]
    assert client.wires.closed == (0 if client.wires.at_once else 1), "what fails at once was never ours to close"
    assert len(client.wires.sent) == 1
    client.connect()
    assert client.wires.opened == [V6, V4, V4], "the next client goes where the first was let in"


def test_one_address_is_tried_per_edge_where_none_stands_at_once() -> None:
    client = Client(to=both(), at_once=False)
    client.wires.errors = {V6: "refused", V4: "refused"}
    assert client.begin() == Step(CONNECTING)
    assert client.wires.opened == [V6]
    assert client.go() == Step(CONNECTING)
    assert client.wires.opened == [V6, V4]
    assert client.go() == Step(CONNECTING)
    assert client.wires.sent == []
    assert client.go() == Step(UPGRADING)
    assert client.wires.opened == [V6, V4, OTHER]
    assert client.wires.closed == 2


def test_address_that_fails_later_is_followed_by_one_that_stands_at_once() -> None:
    client = Client(to=both(), at_once=True)
    client.wires.slow, client.wires.errors = {V6}, {V6: "refused"}
    assert client.begin() == Step(CONNECTING)
    assert client.go() == Step(UPGRADING)
    assert client.wires.opened == [V6, V4]
    assert client.wires.closed == 1
    assert client.go(client.accept()) == Step(JOINING)
    client.begin()
    assert client.wires.opened[-1] == V4


def test_address_that_fails_at_once_is_passed_over(make: MakeClient) -> None:
    client = make(to=both())
    client.wires.refused_at_once = {V6: "unreachable"}
    assert client.connect() == Step(UPGRADING)
    assert client.wires.opened == [V6, V4]


def test_attempt_fails_when_no_address_is_left(make: MakeClient) -> None:
    client = make(to=both())
    client.wires.errors = {V6: "refused", V4: "refused", OTHER: "unreachable"}
    assert client.connect() == Step(CONNECTING, failed="unreachable")
    assert client.wires.sent == []
    assert client.wires.opened == [V6, V4, OTHER]


def test_address_that_never_answers_makes_the_next_attempt_begin_elsewhere() -> None:
    client = Client(to=both(), at_once=False)
    client.begin()
    client.opening.forget(0)  # the herd gave up waiting
    client.begin()
    assert client.wires.opened == [V6, V4]


def test_address_that_answered_stays_the_favourite_when_its_session_ends(make: MakeClient) -> None:
    client = make(to=both())
    client.connect()
    client.opening.forget(0)
    client.begin()
    assert client.wires.opened == [V6, V6]


def test_address_that_answers_again_is_found_after_the_favourite_went(make: MakeClient) -> None:
    client = make(to=both())
    client.wires.errors = {V6: "refused"}
    client.connect()
    client.wires.errors = {V4: "refused"}
    assert client.connect() == Step(UPGRADING)
    assert client.wires.opened[-2:] == [V4, V6]


# --- bootstrap -------------------------------------------------------------------------------------------------------


def bootstrap(path: str = "gateway.url", *, once: bool = False) -> Bootstrap:
    return Bootstrap(target("http://127.0.0.1:9000/v1/bootstrap?client={client}"), tuple(path.split(".")), once)


def answer(body: str, status: str = "200 OK", head: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body.encode())}\r\n{head}\r\n{body}".encode()


GATEWAY = '{"gateway":{"url":"ws://127.0.0.1:8002/socket.io/"}}'


def test_bootstrap_is_asked_for_this_client_and_names_the_gateway(make: MakeClient) -> None:
    client = make(bootstrap())
    assert client.connect() == Step(BOOTSTRAP)
    assert client.wires.sent[0].startswith(b"GET /v1/bootstrap?client=c0 HTTP/1.1\r\nHost: 127.0.0.1:9000\r\n")
    assert client.follow(answer(GATEWAY)) == Step(UPGRADING)
    assert client.wires.opened == [("127.0.0.1", 9000), ("127.0.0.1", 8002)]
    assert client.wires.closed == 1
    assert len(client.wires.sent) == 2
    assert b"Host: 127.0.0.1:8002\r\n" in client.wires.sent[1]
    assert client.go(client.accept()) == Step(JOINING)


def test_bootstrap_answer_without_a_length_ends_with_the_connection(make: MakeClient) -> None:
    client = make(bootstrap())
    client.connect()
    assert client.go(f"HTTP/1.1 200 OK\r\n\r\n{GATEWAY[:10]}".encode()) == Step(BOOTSTRAP)
    assert client.follow(GATEWAY[10:].encode(), "eof") == Step(UPGRADING)


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
def test_bootstrap_that_fails_is_told_by_reason(make: MakeClient, data: bytes, end: str | None, reason: str) -> None:
    client = make(bootstrap())
    client.connect()
    assert client.go(data, end).failed == reason


@pytest.mark.parametrize("reason", ["refused", "reset", "unreachable"])
def test_gateway_or_bootstrap_that_cannot_be_reached_is_told_by_reason(make: MakeClient, reason: str) -> None:
    client = make(bootstrap())
    client.wires.errors = {("127.0.0.1", 8002): reason}
    client.connect()
    assert client.follow(answer(GATEWAY)).failed == reason
    client.wires.errors = {("127.0.0.1", 9000): reason}
    assert client.connect().failed == reason


def test_gateway_with_tls_is_not_asked_at_once() -> None:
    client = Client(bootstrap(), resolve=lambda url: secure(), at_once=True)
    client.connect()
    assert client.go(answer(GATEWAY)) == Step(CONNECTING)
    assert client.go() == Step(TLS)
    assert len(client.wires.sent) == 1


def test_bootstrap_path_may_lead_through_a_list(make: MakeClient) -> None:
    client = make(bootstrap("gateways.1.url"))
    client.connect()
    assert client.follow(answer('{"gateways":[{"url":"x"},{"url":"ws://127.0.0.1:8003/"}]}')) == Step(UPGRADING)
    assert client.wires.opened[-1] == ("127.0.0.1", 8003)


@pytest.mark.parametrize(("once", "asked"), [(True, 1), (False, 3)])
def test_bootstrap_once_or_with_every_connect(make: MakeClient, once: bool, asked: int) -> None:
    client = make(bootstrap(once=once))
    for _ in range(3):
        if client.connect().state == BOOTSTRAP:
            client.follow(answer(GATEWAY))
        client.go(client.accept())
    assert client.wires.opened.count(("127.0.0.1", 9000)) == asked
    assert client.wires.opened.count(("127.0.0.1", 8002)) == 3


def test_bootstrap_may_name_another_gateway_and_looks_each_up_once(make: MakeClient) -> None:
    asked: list[str] = []

    def resolve(url: str) -> Target:
        asked.append(url)
        return Target.of(url)

    client = make(bootstrap(), resolve=resolve)
    for url in ("ws://127.0.0.1:8002/", "ws://127.0.0.1:8003/", "ws://127.0.0.1:8002/"):
        client.connect()
        client.go(answer(f'{{"gateway":{{"url":"{url}"}}}}'))
    assert asked == ["ws://127.0.0.1:8002/", "ws://127.0.0.1:8003/"]
    assert [port for _, port in client.wires.opened if port != 9000] == [8002, 8003, 8002]


def test_gateway_that_cannot_be_looked_up_is_a_bad_answer(make: MakeClient) -> None:
    def resolve(url: str) -> Target:
        raise UsageError("no such host")

    client = make(bootstrap(), resolve=resolve)
    client.connect()
    assert client.go(answer(GATEWAY)).failed == "bootstrap_answer"


def test_names_of_gateways_are_bounded(make: MakeClient) -> None:
    client = make(bootstrap(), resolve=lambda url: target())
    for number in range(1024):
        client.opening._named[str(number)] = target()
    client.connect()
    assert client.go(answer(GATEWAY)).failed == "bootstrap_answer"


@given(data=st.binary(max_size=200), end=st.sampled_from([None, "eof", "reset"]))
def test_no_answer_raises(data: bytes, end: str | None) -> None:
    for client in (Client(named, at_once=at_once) for named in (None, bootstrap()) for at_once in (True, False)):
        client.connect()
        assert isinstance(client.go(b"HTTP/1.1 200 OK\r\n" + data, end), Step)
        client.connect()
        assert isinstance(client.go(data, end), Step)
