"""Is anybody there? One TCP (and TLS) connect to each URL before a run starts, answered within 10 s in all.

Law: what is raised names the URL and the reason in words; nothing is sent to the target beyond the handshakes.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from loadtest.clock import NS_PER_S, now_ns
from loadtest.errors import TargetUnreachableError

TIMEOUT_S = 5.0
TOTAL_S = 9.0
"""All URLs together, so that the whole command ends within 10 s."""

DEFAULT_PORTS = {"ws": 80, "http": 80, "wss": 443, "https": 443}


def probe_all(
    urls: Iterable[str],
    *,
    timeout_s: float = TIMEOUT_S,
    total_s: float = TOTAL_S,
    context: ssl.SSLContext | None = None,
    server_name: str | None = None,
) -> None:
    """Probe each URL in turn, with `timeout_s` for each and `total_s` for all; the first failure ends it.

    Raises:
        TargetUnreachableError: as `probe`.
    """
    deadline_ns = now_ns() + round(total_s * NS_PER_S)
    for url in urls:
        left_s = (deadline_ns - now_ns()) / NS_PER_S
        probe(url, timeout_s=max(0.1, min(timeout_s, left_s)), context=context, server_name=server_name)


def probe(
    url: str,
    *,
    timeout_s: float = TIMEOUT_S,
    context: ssl.SSLContext | None = None,
    server_name: str | None = None,
) -> tuple[str, int]:
    """Connect to the host and port of a ws, wss, http or https URL once, with TLS where the scheme has it.

    Args:
        timeout_s: for everything together: name, all addresses, TLS.
        context: how to verify a wss or https target; None verifies against the system's authorities.
        server_name: name to ask for and verify; None is the URL's host.

    Returns:
        The numeric address and the port that answered; of a host with several addresses the first that did.

    Raises:
        TargetUnreachableError: naming the URL and the reason.
    """
    try:
        return _connect(url, now_ns() + round(timeout_s * NS_PER_S), context, server_name)
    except TimeoutError as error:
        raise TargetUnreachableError(f"{url} cannot be reached: no answer within {timeout_s:.3g} s") from error
    except OSError as error:
        raise TargetUnreachableError(f"{url} cannot be reached: {reason(error)}") from error
    except ValueError as error:  # a port that is none, a host name that cannot be one
        raise TargetUnreachableError(f"{url} cannot be reached: {error}") from error


def reason(error: OSError) -> str:
    """Say in words why a connect failed."""
    match error:
        case socket.gaierror():
            return f"its host name does not resolve ({error.strerror})"
        case ssl.SSLCertVerificationError():
            return f"its certificate is not accepted ({error.verify_message}); see [target.tls] of the profile"
        case ssl.SSLError():
            return f"the TLS handshake failed ({error.reason or error}); is it a plain ws:// target?"
        case ConnectionRefusedError():
            return "connection refused, nothing listens there"
        case ConnectionError():
            return f"the connection was broken off ({error.strerror or error})"
        case _:
            return error.strerror or str(error)


def _connect(url: str, deadline_ns: int, context: ssl.SSLContext | None, server_name: str | None) -> tuple[str, int]:
    parts = urlsplit(url)
    if parts.hostname is None or parts.scheme not in DEFAULT_PORTS:
        raise ValueError("not a ws, wss, http or https URL with a host")
    addresses = _resolve(parts.hostname, parts.port or DEFAULT_PORTS[parts.scheme], deadline_ns)
    for number, (family, kind, protocol, _, address) in enumerate(addresses):
        with socket.socket(family, kind, protocol) as plain:
            try:
                plain.settimeout(_left_s(deadline_ns))
                plain.connect(address)
            except OSError:
                if number + 1 < len(addresses):
                    continue
                raise
            if parts.scheme in ("wss", "https"):
                plain.settimeout(_left_s(deadline_ns))
                context = context or ssl.create_default_context()
                context.wrap_socket(plain, server_hostname=server_name or parts.hostname).close()
            return str(address[0]), int(address[1])
    raise OSError("the host has no address")


def _resolve(host: str, port: int, deadline_ns: int) -> list[tuple[Any, ...]]:
    """Look the host up in a thread, since getaddrinfo knows no timeout of its own."""
    found: list[list[tuple[Any, ...]] | OSError | UnicodeError] = []

    def look_up() -> None:
        try:
            found.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            found.append(error)

    thread = threading.Thread(target=look_up, name=f"resolve {host}", daemon=True)
    thread.start()
    thread.join(_left_s(deadline_ns))
    if not found:
        raise TimeoutError
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]


def _left_s(deadline_ns: int) -> float:
    left_s = (deadline_ns - now_ns()) / NS_PER_S
    if left_s <= 0:
        raise TimeoutError
    return left_s
