"""Whatever a peer sends, the only exception is ProtocolError; and what was decoded is a known event."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.errors import ProtocolError
from loadtest.protocol import engineio, frames, handshake, marker, socketio
from loadtest.protocol.dialect import Dialect
from loadtest.protocol.events import KINDS, Partial
from loadtest.protocol.socketio_dialect import SocketIODialect
from loadtest.protocol.websocket_dialect import WebSocketDialect

thorough = settings(max_examples=200, deadline=None, derandomize=True, database=None)

# Pieces of real traffic, shuffled: random bytes alone hardly get past the first check.
PIECES = st.sampled_from(
    [
        "0",
        "1",
        "2",
        "4",
        "42",
        "43",
        "451-",
        "/a,",
        "12",
        '["a",',
        '{"_placeholder":true,"num":',
        "0}",
        "]",
        "}",
        '"',
        "\\u",
        "null",
        "1e999",
        "-",
        "9" * 30,
        '{"sid":',
        '"pingInterval":',
        "lt1.0badcafe.1.1.1.1.1",
        "[" * 3000,
        "é",
    ]
)
TRAFFIC = st.lists(PIECES, max_size=8).map(lambda pieces: "".join(pieces).encode())
BYTES = st.binary(max_size=60) | TRAFFIC
HTTP = st.lists(
    st.sampled_from(
        [
            b"HTTP/1.1 ",
            b"101",
            b"200 OK",
            b"\r\n",
            b"\r\n\r\n",
            b"Content-Length: ",
            b"Transfer-Encoding: chunked",
            b"5",
            b"0",
            b":",
            b"Upgrade: websocket",
            b"Retry-After: ",
            b"Date: Wed, 21 Oct 2026 07:28:00 GMT",
            b"\xff",
            b"99999999999999999999",
        ]
    )
    | st.binary(max_size=5),
    max_size=14,
).map(b"".join)


def survives(decode: Callable[[], Any]) -> Any:
    try:
        return decode()
    except ProtocolError as error:
        reason = error.reason
    assert reason
    return None


@thorough
@given(BYTES, st.booleans())
def test_frames_survive_garbage(data: bytes, masked: bool) -> None:
    survives(lambda: frames.split(data, masked))
    survives(lambda: frames.MessageReader(masked).feed(data))
    survives(lambda: frames.parse_close(data))


@thorough
@given(HTTP | BYTES, st.booleans(), st.booleans())
def test_handshake_survives_garbage(data: bytes, eof: bool, head_only: bool) -> None:
    parsed = survives(lambda: handshake.parse_response(data, 200, 50, eof=eof, head_only=head_only))
    if parsed is not None:
        response, used = parsed
        assert used <= len(data)
        survives(lambda: handshake.check_upgrade(response, b"x"))
        wait_s = handshake.retry_after_s(response)
        assert wait_s is None or wait_s >= 0


@thorough
@given(BYTES)
def test_packets_and_markers_survive_garbage(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    survives(lambda: engineio.decode_packet(text))
    survives(lambda: engineio.decode_open(text))
    survives(lambda: socketio.decode_packet(text))
    marker.find_marker(data)
    marker.parse_marker(text)


DIALECTS: list[Dialect] = [
    SocketIODialect(marker_path="1.a", ack_path="0.ok"),
    SocketIODialect(namespace="/a"),
    WebSocketDialect(subscribe_message="s", subscribe_ack=True, ack_path="a.0", marker_path="a.b"),
    WebSocketDialect(),
]


@pytest.mark.parametrize("dialect", DIALECTS, ids=["socketio", "socketio-namespace", "websocket", "websocket-bare"])
@thorough
@given(
    BYTES, st.sampled_from([frames.TEXT, frames.BINARY, frames.CLOSE, frames.PING, frames.PONG, frames.CONTINUATION])
)
def test_dialects_survive_garbage(dialect: Dialect, data: bytes, opcode: int) -> None:
    events = survives(lambda: dialect.decode(frames.Frame(opcode, data[:125]))) or ()
    for event in events:
        assert KINDS[event.KIND] is type(event)
        if isinstance(event, Partial):
            survives(partial(dialect.decode_binary, event, [b"x"] * event.attachments))


@pytest.mark.parametrize("depth", [100, 300, 450, 900, 960, 990, 2000])
def test_nesting_at_the_edge_of_the_stack_is_no_crash(depth: int) -> None:
    deep = "[" * depth + '{"_placeholder":true,"num":0}' + "]" * depth
    for dialect in DIALECTS:
        frame = frames.Frame(frames.TEXT, f'451-["a",{deep}]'.encode())
        for event in survives(partial(dialect.decode, frame)) or ():
            if isinstance(event, Partial):
                survives(partial(dialect.decode_binary, event, [b"x"]))
