from __future__ import annotations

import errno
import os
import resource
import select
import socket
import ssl
from collections.abc import Iterator

import pytest

from loadtest.errors import UsageError
from loadtest.herd import sockets
from loadtest.herd.sockets import Target
from tests.herd.peers import accept, listen, reset

pytestmark = pytest.mark.e2e


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with listen() as made:
        yield made


def target_of(server: socket.socket) -> Target:
    host, port = server.getsockname()[:2]
    return Target.of(f"ws://[{host}]:{port}/" if ":" in host else f"ws://{host}:{port}/")


def settled(fd: int) -> str | None:
    """Wait for a connection to be made or fail; return what `pending_error` says."""
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    assert poll.poll(2000)
    return sockets.pending_error(fd)


# --- targets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "address", "host_header", "path"),
    [
        ("ws://127.0.0.1/", ("127.0.0.1", 80), "127.0.0.1", "/"),
        ("ws://127.0.0.1:8001", ("127.0.0.1", 8001), "127.0.0.1:8001", "/"),
        ("wss://127.0.0.1/a/b?c=d&e", ("127.0.0.1", 443), "127.0.0.1", "/a/b?c=d&e"),
        ("https://127.0.0.1", ("127.0.0.1", 443), "127.0.0.1", "/"),
        ("ws://[::1]:9/x", ("::1", 9), "[::1]:9", "/x"),
        ("ws://[::1]", ("::1", 80), "[::1]", "/"),
        ("ws://user:secret@127.0.0.1:7/", ("127.0.0.1", 7), "127.0.0.1:7", "/"),
        ("ws://a%40b:p@s@127.0.0.1:7/", ("127.0.0.1", 7), "127.0.0.1:7", "/"),
    ],
)
def test_target_says_where_and_what_to_ask_for(url: str, address: tuple[str, int], host_header: str, path: str) -> None:
    target = Target.of(url)
    assert (target.address, target.host_header, target.path) == (address, host_header, path)
    assert (target.tls is not None) is url.startswith(("wss", "https"))
    assert target.family == (socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    assert target.others == ()
    assert "secret" not in repr(target.host_header)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:80",
        "ftp://127.0.0.1/",
        "ws://",
        "ws:///path",
        "ws://127.0.0.1:99999/",
        "ws://127.0.0.1:0/",
        "ws://127.0.0.1:port/",
        "ws://[::1/",
        "ws://a..b/",
        "ws://no-such-host.invalid/",
    ],
)
def test_target_that_is_none_is_a_usage_error(url: str) -> None:
    with pytest.raises(UsageError):
        Target.of(url)


def test_tls_context_and_server_name_are_the_callers() -> None:
    context = ssl.create_default_context()
    target = Target.of("wss://127.0.0.1/", context, "gateway.example")
    assert target.tls is context
    assert target.server_name == "gateway.example"
    assert Target.of("ws://127.0.0.1/", context).tls is None


def test_all_addresses_of_a_host_are_kept_ipv4_loopback_first(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 80, 0, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 80)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 80)),
    ]
    monkeypatch.setattr("_socket.getaddrinfo", lambda *_: found)
    target = Target.of("ws://everywhere/")
    ends = [target.address, *(other.address for other in target.others)]
    assert ends == [("127.0.0.1", 80), ("::1", 80), ("192.0.2.1", 80)]
    assert {other.host_header for other in target.others} == {"everywhere"}


# --- connections -----------------------------------------------------------------------------------------------------


def test_connection_stands_and_is_named_by_a_bare_descriptor(server: socket.socket) -> None:
    fd, reason = sockets.connect(target_of(server), None)
    assert reason is None
    assert settled(fd) is None
    assert not os.get_blocking(fd)
    assert not os.get_inheritable(fd)
    with accept(server) as peer:
        assert sockets.write(fd, b"hello") == (5, None)
        assert peer.recv(10) == b"hello"
        sockets.close(fd)
        assert peer.recv(10) == b""


def test_source_address_is_used(server: socket.socket) -> None:
    fd, _ = sockets.connect(target_of(server), "127.1.0.1")
    with accept(server) as peer:
        assert peer.getpeername()[0] == "127.1.0.1"
    sockets.close(fd)


def test_source_of_the_other_family_leaves_the_choice_to_the_kernel(server: socket.socket) -> None:
    fd, reason = sockets.connect(target_of(server), "::1")
    assert reason is None
    with accept(server) as peer:
        assert peer.getpeername()[0] == "127.0.0.1"
    sockets.close(fd)


def test_source_that_is_not_ours_is_told() -> None:
    assert sockets.connect(Target.of("ws://127.0.0.1:9/"), "192.0.2.77") == (-1, "no_local_port")


def test_ipv6_loopback() -> None:
    with listen("::1") as server:
        fd, _ = sockets.connect(target_of(server), "::1")
        assert settled(fd) is None
        with accept(server) as peer:
            assert peer.getpeername()[0] == "::1"
        sockets.close(fd)


def test_refused_is_told() -> None:
    with listen() as server:
        target = target_of(server)
    fd, reason = sockets.connect(target, None)
    if reason is None:
        reason = settled(fd)
        sockets.close(fd)
    assert reason == "refused"


def test_reset_is_told_to_who_writes(server: socket.socket) -> None:
    fd, _ = sockets.connect(target_of(server), None)
    reset(accept(server))
    poll = select.poll()
    poll.register(fd, 0)
    assert poll.poll(2000)
    assert sockets.write(fd, b"x") == (0, "reset")
    sockets.close(fd)


def test_write_takes_what_fits_and_then_nothing(server: socket.socket) -> None:
    fd, _ = sockets.connect(target_of(server), None)
    with accept(server):
        big = bytes(64 << 20)
        written, reason = sockets.write(fd, big)
        assert reason is None
        assert 0 < written < len(big)
        while sockets.write(fd, big)[0]:
            pass
        assert sockets.write(fd, b"x") == (0, None)
    sockets.close(fd)


def test_close_with_reset_is_seen_as_one(server: socket.socket) -> None:
    fd, _ = sockets.connect(target_of(server), None)
    with accept(server) as peer:
        sockets.close(fd, reset=True)
        with pytest.raises(ConnectionResetError):
            peer.recv(1)


def test_out_of_descriptors_is_told_and_costs_none() -> None:
    target = Target.of("ws://127.0.0.1:9/")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    probe = os.open(os.devnull, os.O_RDONLY)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (probe, hard))
        assert sockets.connect(target, None) == (-1, "no_file_descriptor")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        os.close(probe)
    again = os.open(os.devnull, os.O_RDONLY)
    os.close(again)
    assert again == probe


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ECONNREFUSED, "refused"),
        (errno.EPIPE, "reset"),
        (errno.EADDRNOTAVAIL, "no_local_port"),
        (errno.EMFILE, "no_file_descriptor"),
        (errno.ENOTCONN, "enotconn"),
        (None, "unknown"),
        (-9, "unknown"),
        (99_999, "unknown"),
    ],
)
def test_every_errno_has_a_class(number: int | None, reason: str) -> None:
    assert sockets.reason_of(number) == reason
