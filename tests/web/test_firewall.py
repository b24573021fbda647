"""Who is let through to pages and buttons."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from loadtest.web.firewall import Firewall, refusal

OURS = frozenset({"127.0.0.1"})


def environ(method: str = "POST", path: str = "/swarm", host: str = "127.0.0.1:8089", **more: str) -> dict[str, Any]:
    return {"REQUEST_METHOD": method, "PATH_INFO": path, "HTTP_HOST": host, **more}


@pytest.mark.parametrize(
    "given",
    [
        environ(),  # no browser: curl, a script
        environ(HTTP_ORIGIN="http://127.0.0.1:8089"),
        environ(HTTP_SEC_FETCH_SITE="same-origin", HTTP_ORIGIN="https://proxy.example"),  # behind a reverse proxy
        environ("GET", "/stats/requests", HTTP_SEC_FETCH_SITE="cross-site"),  # reads are the browser's to refuse
        environ("GET", "/", HTTP_SEC_FETCH_SITE="none"),
        environ("GET", "/", host="localhost:8089"),
        environ("GET", "/", host="[::1]:8089"),
        environ("GET", "/", host="10.1.2.3"),
    ],
)
def test_let_through(given: dict[str, Any]) -> None:
    assert refusal(given, OURS) is None


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (environ(HTTP_SEC_FETCH_SITE="cross-site"), "another website"),
        (environ(HTTP_SEC_FETCH_SITE="same-site", HTTP_ORIGIN="http://127.0.0.1:9000"), "another website"),
        (environ(HTTP_ORIGIN="http://127.0.0.1:9000"), "another website"),
        (environ(HTTP_ORIGIN="null"), "another website"),
        (environ("GET", "/stop", HTTP_SEC_FETCH_SITE="cross-site"), "another website"),
        (environ("GET", "/base/stats/reset", HTTP_ORIGIN="http://evil.example"), "another website"),
        (environ("DELETE", "/x", HTTP_SEC_FETCH_SITE="cross-site"), "another website"),
        (environ("GET", "/", host="evil.example:8089"), "does not answer to the name"),
        (environ("GET", "/", host=""), "does not answer to the name"),
    ],
)
def test_refused(given: dict[str, Any], why: str) -> None:
    assert why in (refusal(given, OURS) or "")


def test_a_server_open_to_all_answers_to_every_name_but_not_for_other_sites() -> None:
    assert refusal(environ("GET", "/", host="load.example"), None) is None
    assert refusal(environ(host="load.example", HTTP_SEC_FETCH_SITE="cross-site"), None) is not None


def answer(given: dict[str, Any], bound: str = "127.0.0.1") -> tuple[str, dict[str, str], bytes]:
    def application(_: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Access-Control-Allow-Origin", "*"), ("Content-Type", "text/html")])
        return [b"inside"]

    told: list[Any] = []
    body = b"".join(
        Firewall(application, bound)(given, lambda status, headers, *_: told.extend((status, dict(headers))))
    )
    return told[0], told[1], body


def test_what_locust_opens_to_everybody_is_closed_and_no_other_site_may_frame_us() -> None:
    status, headers, body = answer(environ("GET", "/"))
    assert (status, body) == ("200 OK", b"inside")
    assert not [name for name in headers if name.lower().startswith("access-control")]
    assert headers["Content-Security-Policy"] == "frame-ancestors 'self'"


def test_a_refused_request_never_reaches_the_application() -> None:
    status, _, body = answer(environ(HTTP_SEC_FETCH_SITE="cross-site"))
    assert status.startswith("403")
    assert b"inside" not in body
    assert answer(environ("GET", "/", host="load.example"), bound="*")[0] == "200 OK"
