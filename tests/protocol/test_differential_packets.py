"""Packets against python-engineio and python-socketio, both directions."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from engineio.packet import Packet as EnginePeer
from hypothesis import example, given, settings
from hypothesis import strategies as st
from socketio.packet import Packet as SocketPeer

from loadtest.errors import RemoteProtocolError
from loadtest.protocol import engineio
from loadtest.protocol.socketio import SocketIOReader, SocketPacket, SocketType, encode_packet

modest = settings(max_examples=150, deadline=None, derandomize=True, database=None)

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=12)
)
KEYS = st.text(max_size=6).filter(lambda key: key != "_placeholder")


def nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=8
    )


JSON = nested(SCALARS)
JSON_AND_BYTES = nested(SCALARS | st.binary(max_size=20))
NAMESPACES = st.just("/") | st.from_regex(r"/[a-z0-9_/-]{0,10}", fullmatch=True)
IDS = st.integers(0, 10**17)


def packets(
    kind: SocketType, data: st.SearchStrategy[Any], numbers: st.SearchStrategy[int | None]
) -> st.SearchStrategy[SocketPacket]:
    return st.tuples(NAMESPACES, data, numbers).map(lambda parts: SocketPacket(kind, *parts))


def events(arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[SocketPacket]:
    data = st.tuples(st.text(max_size=8), st.lists(arguments, max_size=3)).map(lambda parts: [parts[0], *parts[1]])
    return packets(SocketType.EVENT, data, st.none() | IDS)


def acks(arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[SocketPacket]:
    return packets(SocketType.ACK, st.lists(arguments, max_size=3), IDS)


OBJECTS = st.dictionaries(KEYS, JSON, max_size=3)
CONNECTS = packets(SocketType.CONNECT, st.none() | OBJECTS, st.none())
ERRORS = packets(SocketType.CONNECT_ERROR, st.text(max_size=8) | OBJECTS, st.none())
LEAVES = packets(SocketType.DISCONNECT, st.none(), st.none())
PACKETS = events(JSON) | acks(JSON) | events(JSON_AND_BYTES) | acks(JSON_AND_BYTES) | CONNECTS | ERRORS | LEAVES


def as_peer(packet: SocketPacket) -> SocketPeer:
    return SocketPeer(int(packet.type), packet.data, packet.namespace, packet.id)


@modest
@given(PACKETS)
def test_python_socketio_reads_what_we_write(packet: SocketPacket) -> None:
    text, attachments = encode_packet(packet)
    peer = SocketPeer(encoded_packet=text)
    for attachment in attachments:
        peer.add_attachment(attachment)
    assert (peer.namespace or "/", peer.data, peer.id) == (packet.namespace, packet.data, packet.id)
    assert peer.packet_type == as_peer(packet).packet_type


@modest
@given(PACKETS)
def test_we_read_what_python_socketio_writes(packet: SocketPacket) -> None:
    encoded = as_peer(packet).encode()
    reader = SocketIOReader()
    got = [reader.feed(part) for part in (encoded if isinstance(encoded, list) else [encoded])]
    assert got == [None] * (len(got) - 1) + [packet]


ENGINE_TEXT = st.builds(engineio.EnginePacket, st.sampled_from(list(engineio.EngineType)), st.text(max_size=30))
ENGINE_BINARY = st.builds(engineio.EnginePacket, st.just(engineio.EngineType.MESSAGE), st.binary(max_size=30))


@modest
@given(ENGINE_TEXT | ENGINE_BINARY)
def test_python_engineio_writes_the_same_bytes(packet: engineio.EnginePacket) -> None:
    theirs = EnginePeer(int(packet.type), packet.data).encode()
    assert engineio.encode_packet(packet) == theirs
    assert engineio.decode_packet(theirs) == packet


@modest
@given(st.sampled_from(list(engineio.EngineType)), nested(SCALARS.filter(lambda value: not isinstance(value, int))))
def test_python_engineio_reads_what_we_write(kind: engineio.EngineType, value: Any) -> None:
    text = engineio.encode_packet(engineio.EnginePacket(kind, SocketPeer.json.dumps(value)))
    peer = EnginePeer(encoded_packet=text)
    # The peer parses JSON where it finds some, but never a number.
    assert (peer.packet_type, peer.data) in ((kind, value), (kind, str(text)[1:]))


@modest
@given(
    st.builds(
        engineio.OpenData,
        st.text(min_size=1, max_size=20),
        st.integers(1, 600_000).map(lambda ms: ms / 1000),
        st.integers(1, 600_000).map(lambda ms: ms / 1000),
        st.integers(0, 10**9),
        st.just(()) | st.just(("websocket",)),
    )
)
def test_open_packet_survives_the_peer(opened: engineio.OpenData) -> None:
    peer = EnginePeer(
        encoded_packet=engineio.encode_packet(
            engineio.EnginePacket(engineio.EngineType.OPEN, engineio.encode_open(opened))
        )
    )
    assert peer.data["sid"] == opened.sid
    again = engineio.decode_packet(peer.encode())
    assert engineio.decode_open(again.data) == opened


SIDS = st.one_of(
    st.text(max_size=12).map(json.dumps),
    st.text(max_size=12).map(lambda sid: json.dumps(sid, ensure_ascii=False)),
    st.text(max_size=12).map(lambda sid: f'"{sid}"'),  # whatever it may hold, as it stands
    st.sampled_from(
        ['""', '"-"', '"\\u0041"', '"a\\"b"', '"\u2028"', '"\x7f"', '"\ud800"', '"\U0001f600"', "7", "null"]
    ),
    st.sampled_from([1, 1023, 1024, 1025, 2000]).map(lambda size: '"' + "x" * size + '"'),
)
FIELDS = st.one_of(
    st.sampled_from(
        [
            '"pingInterval":25000',
            '"pingTimeout":20000',
            '"pingInterval" : 1e3',
            '"pingInterval":0',
            '"upgrades":["websocket","sid"]',
            '"upgrades":[]',
            '"maxPayload":5',
            '"maxPayload":-1',
            '"s\\u0069d":"late"',
            '"more":{"sid":"inner"}',
            '"x":"\\""',
            "",
        ]
    ),
    SIDS.map(lambda sid: f'"sid":{sid}'),
    JSON.map(lambda value: f'"y":{json.dumps(value)}'),
)
USUAL = ('"pingInterval":25000', '"pingTimeout":20000')
OPENS = st.builds(
    lambda before, sid, usual, fields, end: f"{before}{sid}{','.join(['', *usual, *fields])}{end}",
    st.sampled_from(['{"sid":', '{"sid": ', ' {"sid":', '{"x":1,"sid":']),
    SIDS,
    st.sampled_from([USUAL, USUAL, USUAL[:1]]),
    st.lists(FIELDS, max_size=3),
    st.sampled_from(["}", "}", "}", "} ", "", "}}", ',"z":"' + "z" * 5000 + '"}']),
)


def opened_or_reason(read: Callable[[str], engineio.OpenData], data: str) -> engineio.OpenData | str:
    try:
        return read(data)
    except RemoteProtocolError as error:
        return error.reason


@settings(max_examples=600, deadline=None, derandomize=True, database=None)
@given(data=OPENS)
@example(data='{"sid":"first","sid":"last","pingInterval":1,"pingTimeout":1}')
@example(data='{"sid":"first","sid":"-","pingInterval":1,"pingTimeout":1}')
@example(data='{"sid":"first","s\\u0069d":"-","pingInterval":1,"pingTimeout":1}')
@example(data='{"sid":"first","pingInterval":1,"pingTimeout":1,"sid":7}')
@example(data='{"sid":"a\\"b","pingInterval":1,"pingTimeout":1}')
def test_open_packet_says_the_same_whether_its_rest_is_known_or_not(data: str) -> None:
    plain = opened_or_reason(engineio._decode_open, data)
    assert opened_or_reason(engineio.decode_open, data) == plain
    assert opened_or_reason(engineio.decode_open, data) == plain


def test_rest_of_open_packets_is_read_once_and_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    engineio._open_behind_sid.cache_clear()
    read: list[str] = []
    plain = engineio._decode_open
    monkeypatch.setattr(engineio, "_decode_open", lambda data: read.append(data) or plain(data))
    for number in range(50):
        sid = f"session-{number}"
        assert engineio.decode_open(f'{{"sid":"{sid}","pingInterval":25000,"pingTimeout":20000}}').sid == sid
    assert len(read) == 1
    for number in range(200):
        engineio.decode_open(f'{{"sid":"s","pingInterval":{number + 1},"pingTimeout":20000}}')
    assert engineio._open_behind_sid.cache_info().currsize <= 64
    before = engineio._open_behind_sid.cache_info().misses
    engineio.decode_open(f'{{"sid":"s","pingInterval":1,"pingTimeout":1,"x":"{"x" * 5000}"}}')
    assert engineio._open_behind_sid.cache_info().misses == before, "too long to be kept"
