"""Reachable or not, said with URL and reason, in time. Real sockets on loopback."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from loadtest.errors import ExitCode, TargetUnreachableError
from loadtest.launch import probe as module
from loadtest.launch.probe import probe, probe_all

pytestmark = pytest.mark.e2e


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        yield sock


def port_of(sock: socket.socket) -> int:
    return sock.getsockname()[1]


def unreachable(url: str, **more: object) -> str:
    with pytest.raises(TargetUnreachableError) as caught:
        probe(url, **more)
    assert caught.value.exit_code == ExitCode.UNREACHABLE
    assert str(caught.value).startswith(f"{url} cannot be reached: ")
    return str(caught.value)


def test_a_listening_target_is_reached(listener: socket.socket) -> None:
    assert probe(f"ws://127.0.0.1:{port_of(listener)}/socket.io/") == ("127.0.0.1", port_of(listener))
    assert probe(f"ws://localhost:{port_of(listener)}")[1] == port_of(listener)


def test_refused_is_said(listener: socket.socket) -> None:
    port = port_of(listener)
    listener.close()
    assert "connection refused, nothing listens there" in unreachable(f"ws://127.0.0.1:{port}/x")


def test_an_unknown_host_is_said() -> None:
    assert "its host name does not resolve" in unreachable("ws://gateway.invalid/")


def test_a_resolver_that_hangs_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(module.socket, "getaddrinfo", lambda *_, **__: release.wait(30))
    began = time.monotonic()
    assert "no answer within 0.2 s" in unreachable("ws://slow.example/", timeout_s=0.2)
    assert time.monotonic() - began < 2
    release.set()


def test_a_full_backlog_is_a_timeout(listener: socket.socket) -> None:
    listener.listen(0)
    waiting = [socket.socket() for _ in range(4)]
    try:
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        assert "no answer within 0.3 s" in unreachable(f"ws://127.0.0.1:{port_of(listener)}", timeout_s=0.3)
    finally:
        for sock in waiting:
            sock.close()


@pytest.mark.parametrize("url", ["ws://", "mailto:x", "ws://127.0.0.1:99999", "ws://127.0.0.1:port"])
def test_nonsense_is_unreachable_and_no_crash(url: str) -> None:
    unreachable(url)


def test_all_urls_share_one_deadline_and_the_failing_one_is_named(listener: socket.socket) -> None:
    good = f"ws://127.0.0.1:{port_of(listener)}"
    probe_all([good, good])
    with pytest.raises(TargetUnreachableError, match=r"ws://127.0.0.1:1/ cannot"):
        probe_all([good, "ws://127.0.0.1:1/"])


@pytest.fixture
def tls_port(tmp_path: Path) -> Iterator[tuple[int, ssl.SSLContext]]:
    """A TLS server that handshakes with whoever comes, and a context that trusts it."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("gateway.test").configure_cert(server)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        sock.settimeout(10)

        def serve() -> None:
            while True:
                try:
                    plain, _ = sock.accept()
                except OSError:
                    return
                with plain:
                    try:
                        server.wrap_socket(plain, server_side=True).close()
                    except OSError:
                        continue  # the client did not like the certificate

        thread = threading.Thread(target=serve)
        thread.start()
        yield port_of(sock), trusting
        sock.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_tls_is_verified_against_the_given_authority_and_name(tls_port: tuple[int, ssl.SSLContext]) -> None:
    port, trusting = tls_port
    probe(f"wss://127.0.0.1:{port}/", context=trusting, server_name="gateway.test")
    said = unreachable(f"wss://127.0.0.1:{port}/", context=trusting)
    assert "certificate is not accepted" in said
    assert "[target.tls]" in said


def test_an_unknown_authority_is_said(tls_port: tuple[int, ssl.SSLContext]) -> None:
    said = unreachable(f"wss://127.0.0.1:{tls_port[0]}/", server_name="gateway.test")
    assert "certificate is not accepted (" in said


def test_a_plain_target_behind_wss_is_said(listener: socket.socket) -> None:
    def answer_plainly() -> None:
        peer, _ = listener.accept()
        with peer:
            peer.recv(4096)
            peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    thread = threading.Thread(target=answer_plainly)
    thread.start()
    assert "TLS handshake failed" in unreachable(f"wss://127.0.0.1:{port_of(listener)}/")
    thread.join()


def test_a_target_that_never_answers_tls_is_a_timeout(listener: socket.socket) -> None:
    assert "no answer within 0.3 s" in unreachable(f"wss://127.0.0.1:{port_of(listener)}/", timeout_s=0.3)
