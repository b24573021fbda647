"""Serve a text over HTTP while a run goes on: GET /metrics, for Prometheus. Nothing else is answered.

Law: it listens on the loopback unless told otherwise, has no effect on the run, and is gone when the run is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from gevent.pywsgi import WSGIServer

from loadtest.errors import UsageError
from loadtest.launch.address import Address


@contextmanager
def serving(address: Address, render: Callable[[], str], content_type: str) -> Iterator[str]:
    """Serve what `render` returns at /metrics; give the URL, whose port is the one that port 0 became.

    Raises:
        UsageError: the address is taken or not of this machine.
    """

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        if environ.get("REQUEST_METHOD") != "GET" or environ.get("PATH_INFO") != "/metrics":
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"GET /metrics\n"]
        start_response("200 OK", [("Content-Type", content_type)])
        return [render().encode()]

    server = WSGIServer((address.host, address.port), answer, log=None, error_log=None)
    try:
        server.start()
    except OSError as error:
        raise UsageError(f"--prometheus: cannot listen on {address}: {error.strerror or error}") from error
    try:
        yield f"http://{address.host}:{server.server_port}/metrics"
    finally:
        server.stop(timeout=1)
