"""The HTTP side: what is upgraded, what is refused and in whose words."""

from __future__ import annotations

import json

import pytest

from reference_gateway.gateway import handshake

from .conftest import UPGRADE


def test_upgrade_is_accepted_with_the_key_of_the_rfc() -> None:
    assert handshake.switch(handshake.accept(handshake.parse(UPGRADE))) == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("old", "new", "status", "code"),
    [
        (b"/socket.io/?", b"/other/?", "404", None),
        (b"GET", b"POST", "400", 2),
        (b"EIO=4", b"EIO=3", "400", 5),
        (b"EIO=4&", b"", "400", 5),
        (b"transport=websocket", b"transport=polling", "400", 0),
        (b"transport=websocket", b"transport=carrier-pigeon", "400", 0),
        (b"transport=websocket", b"transport=websocket&sid=x", "400", 1),
        (b"Upgrade: websocket", b"Upgrade: h2c", "400", 3),
        (b"keep-alive, Upgrade", b"keep-alive", "400", 3),
        (b"dGhlIHNhbXBsZSBub25jZQ==", b"short", "400", 3),
        (b"Version: 13", b"Version: 8", "426", None),
    ],
)
def test_wrong_upgrade_is_refused_in_the_words_of_its_protocol(old: bytes, new: bytes, status: str, code: int) -> None:
    assert old in UPGRADE
    with pytest.raises(handshake.Refusal) as caught:
        handshake.accept(handshake.parse(UPGRADE.replace(old, new)))
    answer = handshake.refusal_response(caught.value)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"Connection: close\r\n" in answer
    if code is not None:
        assert b"Content-Type: application/json" in answer
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == code
    if status == "426":
        assert b"Sec-WebSocket-Version: 13\r\n" in answer


KEY = b"dGhlIHNhbXBsZSBub25jZQ=="


def test_head_that_differs_in_nothing_but_its_key_is_answered_as_the_first() -> None:
    upgrades = handshake.Upgrades()
    assert upgrades.known(UPGRADE) is None
    upgrades.learn(UPGRADE)
    for key in (KEY, b"AAAAAAAAAAAAAAAAAAAAAA==", b"+/+/+/+/+/+/+/+/+/+/+/=="):
        head = UPGRADE.replace(KEY, key)
        for _ in range(2):
            assert upgrades.known(head) == handshake.accept(handshake.parse(head))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"EIO=4", b"EIO=3"),
        (b"Version: 13", b"Version: 8"),
        (KEY, b"short"),
        (KEY, b"dGhlIHNhbXBsZSBub25jZQ"),
        (KEY, b"dGhlIHNhbXBs\r\nA: Bub2jZQ=="),
        (KEY, b"dGhlIHNhbXBsZSBub25\x00ZQ=="),
        (KEY + b"\r\n", KEY + b"\r\nX: 1\r\n"),
        (b"Sec-WebSocket-Key: ", b"Sec-WebSocket-Key:"),
        (b"Host: ", b"Sec-WebSocket-Key: " + KEY + b"\r\nHost: "),
        (b"Sec-WebSocket-Key: " + KEY + b"\r\n", b""),
    ],
)
def test_any_other_head_is_judged_anew(old: bytes, new: bytes) -> None:
    upgrades = handshake.Upgrades()
    upgrades.learn(UPGRADE)
    assert old in UPGRADE
    assert upgrades.known(UPGRADE.replace(old, new)) is None


def test_known_heads_are_bounded() -> None:
    upgrades = handshake.Upgrades()
    for number in range(1000):
        upgrades.learn(UPGRADE.replace(b"Host: 127.0.0.1", b"Host: h%d" % number))
        assert len(upgrades._known) <= 64
    upgrades.learn(UPGRADE.replace(b"Host: ", b"Host: " + b"h" * 2000))
    assert len(upgrades._known) <= 64


def test_known_keys_are_bounded() -> None:
    upgrades = handshake.Upgrades()
    upgrades.learn(UPGRADE)
    for number in range(5000):
        assert upgrades.known(UPGRADE.replace(KEY, b"%022d==" % number)) is not None
        assert len(upgrades._tokens) <= 4096


def test_head_with_two_keys_is_never_known() -> None:
    upgrades = handshake.Upgrades()
    for name in (b"Sec-WebSocket-Key: ", b"sec-websocket-key:"):
        head = UPGRADE.replace(b"Sec-WebSocket-Version", name + b"AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version")
        upgrades.learn(head)
        assert upgrades.known(head) is None


@pytest.mark.parametrize("head", [b"\r\n\r\n", b"\x16\x03\x01\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\nx\r\n\r\n"])
def test_not_http_is_refused(head: bytes) -> None:
    with pytest.raises(handshake.Refusal):
        handshake.accept(handshake.parse(head))
