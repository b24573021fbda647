"""The opening handshake by literal text: requests, answers whole and cut, answers of the hostile kind."""

from __future__ import annotations

import pytest

from loadtest.errors import LocalProtocolError, RemoteProtocolError
from loadtest.protocol.handshake import (
    Response,
    check_upgrade,
    get_request,
    new_key,
    parse_response,
    retry_after_s,
    upgrade_request,
)

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
OK_HEADERS = (("upgrade", "WebSocket"), ("connection", "keep-alive, Upgrade"), ("sec-websocket-accept", ACCEPT))


def reason_of(data: bytes, **options: object) -> str:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_response(data, **options)  # type: ignore[arg-type]
    return caught.value.reason


def test_get_request_is_literal_and_a_header_may_replace_the_host() -> None:
    assert get_request("h:1", "/v1?c=2") == b"GET /v1?c=2 HTTP/1.1\r\nHost: h:1\r\nConnection: close\r\n\r\n"
    assert b"\r\nHost: other\r\n" in get_request("h:1", "/", [("HOST", "other")])
    assert b"h:1" not in get_request("h:1", "/", [("HOST", "other")])


@pytest.mark.parametrize(
    ("target", "header"),
    [
        ("/a b", ("x", "y")),
        ("a", ("x", "y")),
        ("/\r\n", ("x", "y")),
        ("/", ("x", "a\r\nInjected: 1")),
        ("/", ("x", "a\n")),
        ("/", ("x\r\n", "a")),
        ("/", ("x y", "a")),
        ("/", ("x", "€")),
        ("/", ("Sec-WebSocket-Key", "mine")),
        ("/", ("Sec-WebSocket-Extensions", "permessage-deflate")),
        ("/", ("Host", "a\rb")),
    ],
)
def test_request_refuses_what_could_smuggle(target: str, header: tuple[str, str]) -> None:
    with pytest.raises(LocalProtocolError):
        upgrade_request("h", target, KEY, [header])


def test_key_needs_16_bytes() -> None:
    with pytest.raises(LocalProtocolError, match="16"):
        new_key(b"short")


BODY = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: 1\r\n\r\n"


@pytest.mark.parametrize("data", [BODY, CHUNKED], ids=["length", "chunked"])
def test_answer_is_complete_only_at_its_last_byte(data: bytes) -> None:
    for cut in range(len(data)):
        assert parse_response(data[:cut]) is None
    parsed = parse_response(data + b"next")
    assert parsed is not None
    assert (parsed[0].status, parsed[0].reason, parsed[0].body, parsed[1]) == (200, "OK", b"hello", len(data))


def test_header_joins_repetitions() -> None:
    parsed = parse_response(BODY)
    assert parsed is not None
    assert parsed[0].header("set-cookie") == "a, b"
    assert parsed[0].header("absent") is None


def test_body_without_length_ends_with_the_connection() -> None:
    data = b"HTTP/1.0 503 \r\n\r\nsorry"
    assert parse_response(data) is None
    assert parse_response(data, eof=True) == (Response(503, "", (), b"sorry"), len(data))
    assert parse_response(data, head_only=True) == (Response(503, "", ()), 17)


def test_interim_answers_are_skipped() -> None:
    parsed = parse_response(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + BODY)
    assert parsed is not None
    assert parsed[0].status == 200


@pytest.mark.parametrize(
    ("data", "options", "reason"),
    [
        (b"SSH-2.0-OpenSSH", {}, "garbage"),
        (b"\x15\x03\x01", {}, "garbage"),
        (b"HTTP/2 200\r\n\r\n", {}, "garbage"),
        (b"HTTP/1.1 abc\r\n\r\n", {}, "garbage"),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", {}, "garbage"),
        (b"HTTP/1.1 200 OK\r\n folded: x\r\n\r\n", {}, "garbage"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", {}, "garbage"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", {}, "garbage"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc", {}, "garbage"),
        (b"HTTP/1.1 200", {"eof": True}, "garbage"),
        (b"", {"eof": True}, "garbage"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi", {"eof": True}, "garbage"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100, {"max_head": 64}, "head_too_large"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n", {"max_body": 10}, "body_too_large"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 11, {"max_body": 10}, "body_too_large"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n", {"max_body": 10}, "body_too_large"),
    ],
)
def test_answer_fault_is_named(data: bytes, options: dict[str, object], reason: str) -> None:
    assert reason_of(data, **options) == reason


def test_upgrade_is_welcome() -> None:
    check_upgrade(Response(101, "", OK_HEADERS), KEY)
    check_upgrade(Response(101, "", (*OK_HEADERS, ("sec-websocket-protocol", "chat"))), KEY, ["chat"])


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (Response(503, "Busy", ()), "http_503"),
        (Response(200, "OK", OK_HEADERS), "http_200"),
        (Response(101, "", OK_HEADERS[1:]), "bad_upgrade"),
        (Response(101, "", (OK_HEADERS[0], OK_HEADERS[2])), "bad_upgrade"),
        (Response(101, "", OK_HEADERS[:2]), "bad_accept"),
        (Response(101, "", (*OK_HEADERS[:2], ("sec-websocket-accept", ACCEPT.lower()))), "bad_accept"),
        (Response(101, "", (*OK_HEADERS, ("sec-websocket-extensions", "permessage-deflate"))), "bad_upgrade"),
        (Response(101, "", (*OK_HEADERS, ("sec-websocket-protocol", "other"))), "bad_upgrade"),
    ],
)
def test_upgrade_is_refused_by_class(response: Response, reason: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        check_upgrade(response, KEY, ["chat"])
    assert caught.value.reason == reason


DATE = ("date", "Wed, 21 Oct 2026 07:28:00 GMT")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ((), None),
        ((("retry-after", "120"),), 120.0),
        ((("retry-after", "0.375"),), 0.375),
        ((("retry-after", "Wed, 21 Oct 2026 07:28:30 GMT"), DATE), 30.0),
        ((("retry-after", "Wed, 21 Oct 2026 07:27:30 GMT"), DATE), 0.0),
        ((("retry-after", "Wed, 21 Oct 2026 07:28:30 GMT"),), None),
        ((("retry-after", "soon"), DATE), None),
        ((("retry-after", "-5"), DATE), None),
        ((("retry-after", "9" * 400), DATE), None),
        ((("retry-after", "Wed, 21 Oct 2026 07:28:30 -0000"), DATE), None),
    ],
)
def test_retry_after_in_seconds(headers: tuple[tuple[str, str], ...], expected: float | None) -> None:
    assert retry_after_s(Response(503, "", headers)) == expected
