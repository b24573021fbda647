"""Packets against python-engineio and python-socketio, both directions."""

from __future__ import annotations

from typing import Any

from engineio.packet import Packet as EnginePeer
from hypothesis import given, settings
from hypothesis import strategies as st
from socketio.packet import Packet as SocketPeer

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
