"""Sockets as bare file descriptors: no Python object per connection.

Law: every call here is non-blocking and cheap; what goes wrong is a `reason`, a short class under which the failure is
counted. Libraries that patch `socket` and `os` never see these descriptors.
"""

from __future__ import annotations

import _socket
import ctypes
import errno
import functools
import os
import resource
import ssl
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from loadtest.clock import NS_PER_S
from loadtest.errors import UsageError

SPARE_SHARE = 0.1
"""Share of a process's file limit that is left alone: its own files, ZMQ, reconnects that overlap."""
RESERVED_FILES = 16
"""Open files that connections leave to everything else in a process: a log, a lookup, a look at its own memory."""
OWN_FILES = 8
"""What is open in every descriptor table beside connections: standard streams, a poller."""
IP_BIND_ADDRESS_NO_PORT = 24
"""Linux: choose the local port at connect(), when the destination is known, so ports are reused per destination."""

SO_TIMESTAMPNS = 35
"""Linux: have the kernel tell when what is read had arrived, as a `struct timespec` of CLOCK_REALTIME (socket(7))."""

_TIMESPEC = struct.Struct("@ll")
_ROOM_FOR_STAMP = _socket.CMSG_SPACE(_TIMESPEC.size)
_REASONS = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset",
    errno.EPIPE: "reset",
    errno.ECONNABORTED: "reset",
    errno.ETIMEDOUT: "timeout_tcp",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.EADDRNOTAVAIL: "no_local_port",
    errno.EADDRINUSE: "no_local_port",
    errno.EMFILE: "no_file_descriptor",
    errno.ENFILE: "no_file_descriptor",
    errno.ENOBUFS: "no_buffer",
    errno.ENOMEM: "no_buffer",
    errno.EACCES: "forbidden",
    errno.EPERM: "forbidden",
}
SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27
"""Linux: a classic BPF program that says of each segment how much of it the socket gets (socket(7))."""

_TCP_ESTABLISHED, _TCP_SYN_SENT, _TCP_SYN_RECV = 1, 2, 3
_DROP_ALL = struct.pack("HBBI", 0x06, 0, 0, 0)
"""One instruction: return 0, which is: drop."""
_CONNECTING = {0, errno.EINPROGRESS, errno.EAGAIN, errno.EINTR}
_PACING = {b"bbr", b"bbr2", b"bbr3"}
_LINGER_RESET = struct.pack("ii", 1, 0)


def reason_of(number: int | None) -> str:
    """Return the failure class of an errno."""
    return _REASONS.get(number or 0) or errno.errorcode.get(number or 0, "unknown").lower()


def usable_files(nofile: int) -> int:
    """Return how many connections one descriptor table may hold under a limit of `nofile` open files."""
    return max(1, min(int(nofile * (1 - SPARE_SHARE)), nofile - RESERVED_FILES - OWN_FILES))


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect: a ws:// or wss:// (or, for a bootstrap, http(s)://) URL with its address looked up once.

    `address` is (numeric host, port); `host_header` what the Host header says; `path` path and query of the URL;
    `others` are the same URL at its host's other addresses.
    """

    url: str
    family: int
    address: tuple[str, int]
    host_header: str
    host: str
    path: str
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    server_name: str | None = None
    others: tuple[Target, ...] = ()

    @classmethod
    def of(cls, url: str, tls: ssl.SSLContext | None = None, server_name: str | None = None) -> Target:
        """Parse `url` and look its host up (blocking).

        The addresses stay in the order of the resolver, IPv4 loopback before all others: it can be spread over source
        addresses. Which of them answers is found out by connecting (`Opening`).

        Raises:
            UsageError: not a URL with a host, or a name that does not resolve.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise UsageError(f'"{url}" is not a URL ({error})') from error
        secure = parts.scheme in {"wss", "https"}
        if parts.scheme not in {"ws", "wss", "http", "https"} or not parts.hostname or port == 0:
            raise UsageError(f'"{url}" is not a ws://, wss:// or http:// URL with a host')
        try:
            found = _socket.getaddrinfo(parts.hostname, port or (443 if secure else 80), 0, _socket.SOCK_STREAM)
        except (OSError, ValueError) as error:
            raise UsageError(f'"{url}": the host {parts.hostname} cannot be looked up ({error})') from error
        ends = list(dict.fromkeys((int(family), (str(end[0]), int(end[1]))) for family, _, _, _, end in found))
        ends.sort(key=lambda end: not end[1][0].startswith("127."))
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        context = (tls or ssl.create_default_context()) if secure else None
        name = server_name or parts.hostname
        host_header = parts.netloc.rpartition("@")[2]
        first, *others = (cls(url, *end, host_header, parts.hostname, path, context, name) for end in ends)
        return replace(first, others=tuple(others))

    def through(self, routes: Mapping[str, str]) -> Target:
        """Return the same URL reached by a relay, where `routes` names one for its address ("HOST:PORT")."""
        for end in (self, *self.others):
            route = routes.get(f"{end.address[0]}:{end.address[1]}")
            if route is not None:
                host, _, port = route.rpartition(":")
                return replace(self, family=_socket.AF_INET, address=(host, int(port)), others=())
        return self


@functools.cache
def _unpaced() -> bytes:
    """Return the congestion control to ask for on loopback: none where the system's own does not pace."""
    try:
        default = Path("/proc/sys/net/ipv4/tcp_congestion_control").read_bytes().strip()
    except OSError:  # not Linux, or hidden: the system's own
        return b""
    return b"reno" if default in _PACING else b""


def congestion_of(host: str) -> bytes:
    """Return the congestion control to set on a connection to `host`, a numeric address; b"": leave the system's own.

    BBR paces: it arms a timer for each segment, 7 us of a connect. Over loopback there is nothing to congest, and the
    machine's time is what a test of many clients has least of. Source: tcp(7), TCP_CONGESTION.
    """
    return _unpaced() if host.startswith("127.") or host == "::1" else b""


def connect(target: Target, source: str | None, *, late_acks: bool = False) -> tuple[int, str | None]:
    """Begin a connection, from the address `source` if it is of the target's family, else from one the kernel chooses.

    With `late_acks` the kernel acknowledges with the next data, or after 40 ms, from the first segment on instead of
    after the first dozen (tcp(7), TCP_QUICKACK): a connect over loopback then takes 8 segments instead of 11.

    Returns:
        (descriptor, None) when it is under way or already made (both look alike: writable), or (-1, reason).
    """
    try:
        sock = _socket.socket(target.family, _socket.SOCK_STREAM | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC)
    except OSError as error:
        return -1, reason_of(error.errno)
    if sock.fileno() >= resource.getrlimit(resource.RLIMIT_NOFILE)[0] - RESERVED_FILES:  # lowered while we run, maybe
        sock.close()
        return -1, "no_file_descriptor"
    try:
        sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        if late_acks:
            sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_QUICKACK, 0)
        if congestion := congestion_of(target.address[0]):
            sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_CONGESTION, congestion)
        if source is not None and (":" in source) is (target.family == _socket.AF_INET6):
            sock.setsockopt(_socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((source, 0))
        code = sock.connect_ex(target.address)
    except OSError as error:
        sock.close()
        return -1, reason_of(error.errno)
    if code not in _CONNECTING:
        sock.close()
        return -1, reason_of(code)
    return sock.detach(), None


def is_ours(address: str) -> bool:
    """Whether connections can leave from a numeric address: an interface of this machine has it."""
    family = _socket.AF_INET6 if ":" in address else _socket.AF_INET
    try:
        sock = _socket.socket(family, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    except OSError:
        return False  # no such family here
    try:
        sock.bind((address, 0))
    except OSError:
        return False
    finally:
        sock.close()
    return True


def pending_error(fd: int) -> str | None:
    """Return the failure class waiting on `fd`, or None when its connection stands."""
    sock = _socket.socket(fileno=fd)
    try:
        code = sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
        if code == 0:
            try:
                sock.getpeername()
            except OSError as error:
                code = error.errno or errno.ENOTCONN
    finally:
        sock.detach()
    return reason_of(code) if code else None


def write(fd: int, data: bytes) -> tuple[int, str | None]:
    """Write what fits; return (bytes written, None) or (0, reason) when the connection is gone."""
    try:
        return os.write(fd, data), None
    except BlockingIOError:
        return 0, None
    except OSError as error:
        return 0, reason_of(error.errno)


def ack_at_once(fd: int) -> None:
    """See `quick.AckAtOnce`."""
    sock = _socket.socket(fileno=fd)
    try:
        sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_QUICKACK, 1)
    finally:
        sock.detach()


def stamp_arrivals(fd: int) -> bool:
    """Have the kernel stamp what arrives from now on; False where it cannot."""
    sock = _socket.socket(fileno=fd)
    try:
        sock.setsockopt(_socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    except OSError:
        return False
    finally:
        sock.detach()
    return True


def read_stamped(fd: int, most: int) -> tuple[bytes, int | None]:
    """Read as os.read does; return the bytes and when the last segment of them arrived, in ns of CLOCK_REALTIME.

    The time is None for what arrived before the kernel was asked to stamp, and for the end of the stream.

    Raises:
        OSError: as os.read; BlockingIOError when there is nothing.
    """
    sock = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM, 0, fd)  # named, not asked for: two system calls less
    try:
        data, extras, _, _ = sock.recvmsg(most, _ROOM_FOR_STAMP)
    finally:
        sock.detach()
    for level, kind, stamp in extras:
        if level == _socket.SOL_SOCKET and kind == SO_TIMESTAMPNS and len(stamp) == _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack(stamp)
            return data, seconds * NS_PER_S + nanoseconds
    return data, None


def _tcp_state(fd: int) -> int:
    """Return the kernel's state of a TCP connection: the first byte of `struct tcp_info` (tcp(7))."""
    sock = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM, 0, fd)
    try:
        return sock.getsockopt(_socket.IPPROTO_TCP, _socket.TCP_INFO, 8)[0]
    finally:
        sock.detach()


def is_established(fd: int) -> bool:
    """Whether the connection stands in both directions, as far as this kernel knows."""
    return _tcp_state(fd) == _TCP_ESTABLISHED


def is_ended(fd: int) -> bool:
    """Whether the peer has closed or reset the connection, or it never came to be; without reading from it."""
    return _tcp_state(fd) not in (_TCP_ESTABLISHED, _TCP_SYN_SENT, _TCP_SYN_RECV)


def deafen(fd: int) -> None:
    """Have the kernel throw away all that arrives, unacknowledged, as if this machine were gone.

    Raises:
        OSError: the kernel has no socket filters.
    """
    program = ctypes.create_string_buffer(_DROP_ALL)
    sock = _socket.socket(fileno=fd)
    try:
        sock.setsockopt(_socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(program)))
    finally:
        sock.detach()


def undeafen(fd: int) -> None:
    """Let the kernel receive again."""
    sock = _socket.socket(fileno=fd)
    try:
        sock.setsockopt(_socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
    finally:
        sock.detach()


def shrink_receive_buffer(fd: int, size_bytes: int) -> None:
    """Give the connection little room for what is not read yet."""
    sock = _socket.socket(fileno=fd)
    try:
        sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_RCVBUF, size_bytes)
    finally:
        sock.detach()


def close(fd: int, *, reset: bool = False) -> None:
    """Close `fd`, with a RST instead of a FIN when `reset`."""
    if reset:
        sock = _socket.socket(fileno=fd)
        try:
            sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, _LINGER_RESET)
        finally:
            sock.detach()
    _socket.close(fd)  # not os.close: gevent's has the loop look whether it watches `fd`, at four times the cost
