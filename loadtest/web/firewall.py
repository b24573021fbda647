"""Keeps other websites out: a page elsewhere that a browser has open must neither press our buttons nor read us.

    browser --> Firewall (before Locust's pages and ours) --> Flask
                    |  a changing request from another site: 403        a name that is not ours (DNS rebinding): 403
                    '- answers lose the CORS headers that Locust opens to everybody, and cannot be framed elsewhere

Laws: what the browser says of a request's origin decides, never what the page says. A client that is no browser names
no origin; it passes, and our own buttons ask it for a token besides.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]

CHANGING_GETS = ("/stop", "/stats/reset")
"""Paths of Locust's that change something though they are asked for by GET."""

POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; object-src 'none';"
    " base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
)
"""The content security policy of our own pages: scripts from here only."""


def refusal(environ: dict[str, Any], names: frozenset[str] | None) -> str | None:
    """Return why a request is not let through, or None.

    Args:
        environ: as WSGI has it.
        names: host names that are ours, beside localhost and every IP address; None: any name.
    """
    host = str(environ.get("HTTP_HOST", ""))
    if names is not None and not _is_ours(host, names):
        return f"this server does not answer to the name {host[:80]!r}"
    method, path = environ.get("REQUEST_METHOD", "GET"), str(environ.get("PATH_INFO", ""))
    if method in ("GET", "HEAD", "OPTIONS") and not path.endswith(CHANGING_GETS):
        return None
    site = environ.get("HTTP_SEC_FETCH_SITE")
    if site is not None:
        return None if site in ("same-origin", "none") else "another website asked for it"
    origin = environ.get("HTTP_ORIGIN")
    if origin is not None and urlsplit(str(origin)).netloc.lower() != host.lower():
        return "another website asked for it"
    return None


def _is_ours(host: str, names: frozenset[str]) -> bool:
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost" or name.endswith(".localhost") or name in names:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class Firewall:
    """WSGI middleware.

    Args:
        bound: the host that the web server listens on; "" and "*" are every interface, and then every name is ours.
    """

    def __init__(self, application: Application, bound: str) -> None:
        self._application = application
        everywhere = bound in ("", "*", "0.0.0.0", "::")
        self._names = None if everywhere else frozenset({bound.lower()})

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        why = refusal(environ, self._names)
        if why is not None:
            start_response("403 Forbidden", [("Content-Type", "text/plain; charset=utf-8")])
            return [f"Refused: {why}.\n".encode()]

        def begin(status: str, headers: list[tuple[str, str]], *details: Any) -> Any:
            kept = [pair for pair in headers if not pair[0].lower().startswith("access-control-")]
            present = {name.lower() for name, _ in kept}
            ours = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}
            ours["Content-Security-Policy"] = "frame-ancestors 'self'"
            added = [(name, value) for name, value in ours.items() if name.lower() not in present]
            return start_response(status, [*kept, *added], *details)

        return self._application(environ, begin)
