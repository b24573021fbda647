"""TLS over bytes: our session against the server side of the standard library, no sockets."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.herd.tls import TlsSession, reason_of_tls

AUTHORITY = trustme.CA(key_type=trustme.KeyType.ECDSA)
STRANGER = trustme.CA(key_type=trustme.KeyType.ECDSA)
CERTIFICATE = AUTHORITY.issue_cert("gateway.example", "127.0.0.1", key_type=trustme.KeyType.ECDSA)
HELLO = b"HTTP/1.1 101\r\n\r\n"


def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    CERTIFICATE.configure_cert(context)
    return context


def client_context(authority: trustme.CA = AUTHORITY) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    return context


class TlsServer:
    """The server's side, over bytes."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = (context or server_context()).wrap_bio(self.incoming, self.outgoing, server_side=True)

    def take(self, data: bytes) -> bytes:
        """Give it bytes; return its answer to them."""
        self.incoming.write(data)
        with suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self.outgoing.read()

    def say(self, data: bytes) -> bytes:
        self.tls.write(data)
        return self.outgoing.read()

    def read(self, data: bytes) -> bytes:
        self.incoming.write(data)
        return self.tls.read(1 << 20)

    def goodbye(self) -> bytes:
        with pytest.raises(ssl.SSLWantReadError):
            self.tls.unwrap()
        return self.outgoing.read()


def shake(session: TlsSession, server: TlsServer, cut: Callable[[bytes], list[bytes]] = lambda data: [data]) -> bytes:
    """Do the handshake; return what the session took for application bytes."""
    plain = session.feed(b"")
    for _ in range(5):
        answer = server.take(session.pending())
        for piece in cut(answer):
            plain += session.feed(piece)
        if session.established:
            return plain + session.feed(server.take(session.pending()))  # tickets
    raise AssertionError("no handshake")


@pytest.fixture
def server() -> TlsServer:
    return TlsServer()


@pytest.fixture
def session() -> TlsSession:
    return TlsSession(client_context(), "gateway.example")


def test_handshake_then_bytes_both_ways(session: TlsSession, server: TlsServer) -> None:
    assert not session.established
    assert shake(session, server) == b""
    session.seal(b"GET / HTTP/1.1\r\n\r\n")
    assert server.read(session.pending()) == b"GET / HTTP/1.1\r\n\r\n"
    assert session.feed(server.say(HELLO)) == HELLO
    assert not session.ended


def test_name_of_the_server_is_sent_and_checked(server: TlsServer) -> None:
    session = TlsSession(client_context(), "gateway.example")
    session.feed(b"")
    assert b"gateway.example" in session.pending()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_in_use(version: ssl.TLSVersion) -> None:
    context = server_context()
    context.minimum_version = context.maximum_version = version
    session, server = TlsSession(client_context(), "127.0.0.1"), TlsServer(context)
    shake(session, server)
    assert session.feed(server.say(HELLO)) == HELLO


@settings(max_examples=15, deadline=None)
@given(sizes=st.lists(st.integers(1, 900), min_size=1, max_size=8), body=st.binary(min_size=1, max_size=3000))
def test_records_cut_anywhere_say_the_same(sizes: list[int], body: bytes) -> None:
    def cut(data: bytes) -> list[bytes]:
        pieces, at, number = [], 0, 0
        while at < len(data):
            size = sizes[number % len(sizes)]
            pieces.append(data[at : at + size])
            at, number = at + size, number + 1
        return pieces

    session, server = TlsSession(client_context(), "gateway.example"), TlsServer()
    shake(session, server, cut)
    assert b"".join(session.feed(piece) for piece in cut(server.say(body))) == body


def test_more_than_one_record_in_one_feed(session: TlsSession, server: TlsServer) -> None:
    shake(session, server)
    body = bytes(300_000)
    assert session.feed(server.say(body)) == body


def test_goodbye_ends_the_session_after_what_came_before_it(session: TlsSession, server: TlsServer) -> None:
    shake(session, server)
    assert session.feed(server.say(b"last words") + server.goodbye()) == b"last words"
    assert session.ended


@pytest.mark.parametrize(
    ("authority", "name"), [(STRANGER, "gateway.example"), (AUTHORITY, "elsewhere.example"), (AUTHORITY, "127.0.0.2")]
)
def test_certificate_that_does_not_fit_is_one_class(server: TlsServer, authority: trustme.CA, name: str) -> None:
    session = TlsSession(client_context(authority), name)
    session.feed(b"")
    with pytest.raises(ssl.SSLError) as caught:
        session.feed(server.take(session.pending()))
    assert reason_of_tls(caught.value) == "tls_certificate"
    assert session.pending(), "the server is told by an alert"
    assert not session.established


def test_insecure_accepts_any_certificate(server: TlsServer) -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    session = TlsSession(context, "elsewhere.example")
    shake(session, server)
    assert session.established


def test_what_is_not_tls_is_told(session: TlsSession) -> None:
    session.feed(b"")
    with pytest.raises(ssl.SSLError) as caught:
        session.feed(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert reason_of_tls(caught.value).startswith("tls_")


def test_no_version_in_common_is_told() -> None:
    context = server_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    ours = client_context()
    ours.minimum_version = ssl.TLSVersion.TLSv1_3
    session, server = TlsSession(ours, "gateway.example"), TlsServer(context)
    session.feed(b"")
    with pytest.raises(ssl.SSLError):
        server.take(session.pending())
    with pytest.raises(ssl.SSLError) as caught:
        session.feed(server.outgoing.read())
    assert "version" in reason_of_tls(caught.value)


def test_client_certificate_that_was_wanted_is_told_behind_the_handshake() -> None:
    context = server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    AUTHORITY.configure_trust(context)
    session, server = TlsSession(client_context(), "gateway.example"), TlsServer(context)
    session.feed(b"")
    session.feed(server.take(session.pending()))
    assert session.established
    with pytest.raises(ssl.SSLError):
        server.take(session.pending())
    with pytest.raises(ssl.SSLError) as caught:
        session.feed(server.outgoing.read())
    assert "certificate_required" in reason_of_tls(caught.value)


def test_client_certificate_is_shown() -> None:
    context = server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    AUTHORITY.configure_trust(context)
    ours = client_context()
    AUTHORITY.issue_cert("client@gateway.example", key_type=trustme.KeyType.ECDSA).configure_cert(ours)
    session, server = TlsSession(ours, "gateway.example"), TlsServer(context)
    shake(session, server)
    assert session.feed(server.say(HELLO)) == HELLO


def test_record_that_was_tampered_with_is_told(session: TlsSession, server: TlsServer) -> None:
    shake(session, server)
    record = bytearray(server.say(HELLO))
    record[-1] ^= 1
    with pytest.raises(ssl.SSLError) as caught:
        session.feed(bytes(record))
    assert reason_of_tls(caught.value).startswith("tls_")


def test_error_without_a_reason_has_a_class() -> None:
    error = ssl.SSLError(1, "?")
    error.reason = None  # type: ignore[assignment]
    assert reason_of_tls(error) == "tls_error"
