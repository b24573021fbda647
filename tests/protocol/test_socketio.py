"""Socket.IO and Engine.IO packets beyond the golden vectors: attachments, limits, what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from loadtest.errors import LocalProtocolError, RemoteProtocolError
from loadtest.protocol import engineio
from loadtest.protocol.socketio import (
    SocketIOReader,
    SocketPacket,
    SocketType,
    assemble,
    decode_packet,
    encode_packet,
)

PICTURE = '51-["pic",{"_placeholder":true,"num":0}]'


def test_namespace_without_a_comma_ends_the_packet() -> None:
    assert decode_packet("0/admin") == SocketPacket(SocketType.CONNECT, "/admin")


def test_event_name_may_be_a_number_and_look_like_an_id() -> None:
    assert decode_packet("2[12,13]").data == [12, 13]
    assert decode_packet("212[12,13]").id == 12


@pytest.mark.parametrize(
    "text",
    [
        "2[true]",
        "2[null]",
        "2" + "1" * 19 + '["a"]',
        "5257-[1]",
        "51-",
        "01",
        '0["a"]',
        "1{}",
        "4",
        "4[1]",
        "2[NaN]",
        '2["a",Infinity]',
        '2["a"]x',
        "2" + "[" * 100_000,
        '2["a",' + "1" * 5000 + "]",
        "²",
        "x",
        "2/admin",
    ],
)
def test_malformed_header_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decode_packet(text)
    assert caught.value.reason == "malformed_packet"


def test_reader_joins_header_and_attachments() -> None:
    reader = SocketIOReader()
    assert reader.feed('2["plain"]') == SocketPacket(SocketType.EVENT, "/", ["plain"])
    assert (reader.feed(PICTURE), reader.pending) == (None, True)
    assert reader.feed(b"\1\2") == SocketPacket(SocketType.EVENT, "/", ["pic", b"\1\2"])
    assert not reader.pending
    assert reader.feed('60-7["none"]') == SocketPacket(SocketType.ACK, "/", ["none"], 7)


@pytest.mark.parametrize("feeds", [[b"\1"], [PICTURE, '2["a"]'], ["61-1[]x"]])
def test_reader_refuses_the_wrong_order(feeds: list[Any]) -> None:
    reader = SocketIOReader()
    *before, last = feeds
    for payload in before:
        assert reader.feed(payload) is None
    with pytest.raises(RemoteProtocolError):
        reader.feed(last)


@pytest.mark.parametrize("num", [1, -1, True, False, "0", None, 10**30])
def test_placeholder_must_point_at_an_attachment(num: object) -> None:
    header = SocketPacket(SocketType.BINARY_EVENT, "/", ["a", {"_placeholder": True, "num": num}], None, 1)
    with pytest.raises(RemoteProtocolError):
        assemble(header, [b""])


def test_assemble_wants_all_attachments_of_a_binary_packet() -> None:
    for header in (decode_packet(PICTURE), decode_packet('2["a"]')):
        with pytest.raises(RemoteProtocolError):
            assemble(header, [])


LOOP: list[Any] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    "packet",
    [
        SocketPacket(SocketType.EVENT, "admin", ["a"]),
        SocketPacket(SocketType.EVENT, "/a,b", ["a"]),
        SocketPacket(SocketType.CONNECT, "/", {"a": b""}),
        SocketPacket(SocketType.EVENT, "/", [object()]),
        SocketPacket(SocketType.EVENT, "/", [float("nan")]),
        SocketPacket(SocketType.EVENT, "/", LOOP),
    ],
)
def test_encode_refuses_what_the_protocol_forbids(packet: SocketPacket) -> None:
    with pytest.raises(LocalProtocolError):
        encode_packet(packet)


@pytest.mark.parametrize("payload", ["", "7", "9x", "b64", "-", "²"])
def test_engine_packet_type_must_exist(payload: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        engineio.decode_packet(payload)
    assert caught.value.reason == "malformed_packet"


def test_engine_refuses_bytes_outside_a_message() -> None:
    with pytest.raises(LocalProtocolError):
        engineio.encode_packet(engineio.EnginePacket(engineio.EngineType.PING, b""))


def test_engine_open_of_an_older_server_lacks_max_payload() -> None:
    opened = engineio.decode_open('{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":500.5,"x":1}')
    assert opened == engineio.OpenData("s", 25.0, 0.5005)


@pytest.mark.parametrize(
    "data",
    [
        "",
        "[]",
        b"{}",
        "{}",
        '{"sid":"","pingInterval":1,"pingTimeout":1}',
        '{"sid":"s","pingInterval":"1","pingTimeout":1}',
        '{"sid":"s","pingInterval":true,"pingTimeout":1}',
        '{"sid":"s","pingInterval":0,"pingTimeout":1}',
        '{"sid":"s","pingInterval":1,"pingTimeout":1e999}',
        '{"sid":"s","pingInterval":1,"pingTimeout":' + "9" * 400 + "}",
        '{"sid":"s","pingInterval":1,"pingTimeout":1,"maxPayload":-1}',
    ],
)
def test_engine_open_fault_is_refused(data: str | bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        engineio.decode_open(data)
    assert caught.value.reason == "malformed_packet"
