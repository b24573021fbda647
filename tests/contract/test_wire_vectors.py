"""Hold the codecs to the literal bytes of the protocol documents, the harness's and the independent ones alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from engineio.packet import Packet as EnginePeer
from socketio.packet import Packet as SocketPeer
from wsproto.frame_protocol import FrameProtocol, ParseFailed

from loadtest.errors import RemoteProtocolError
from loadtest.protocol import engineio, frames, handshake, socketio

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "wire_vectors.json").read_text("utf-8"))
ONE_KEY_MASK = bytes.fromhex("37fa213d")


def of(layer: str, *, faulty: bool = False) -> pytest.MarkDecorator:
    chosen = [v for v in VECTORS if v["layer"] == layer and ("fault" in v["expect"]) is faulty]
    return pytest.mark.parametrize("vector", chosen, ids=[v["name"] for v in chosen])


def wire(vector: dict[str, Any]) -> bytes:
    base = bytes.fromhex(vector["hex"]) if "hex" in vector else vector["text"].encode()
    return base + bytes(vector.get("zeros", 0))


def expected_frames(vector: dict[str, Any]) -> tuple[frames.Frame, ...]:
    zeros = bytes(vector.get("zeros", 0))
    listed = vector["expect"]["frames"]
    return tuple(frames.Frame(f["opcode"], bytes.fromhex(f["payload_hex"]) + zeros, f["fin"]) for f in listed)


def test_vector_names_are_unique() -> None:
    names = [vector["name"] for vector in VECTORS]
    assert len(names) == len(set(names)) == 60


@of("frame")
def test_frame_decodes(vector: dict[str, Any]) -> None:
    data = wire(vector)
    assert frames.split(data, masked=vector["expect"]["masked"]) == (expected_frames(vector), len(data))


@of("frame")
def test_frame_encodes(vector: dict[str, Any]) -> None:
    mask = ONE_KEY_MASK if vector["expect"]["masked"] else None
    parts = [frames.encode(f.opcode, f.payload, mask=mask, fin=f.fin) for f in expected_frames(vector)]
    assert b"".join(parts) == wire(vector)


@of("frame", faulty=True)
def test_frame_fault_is_named(vector: dict[str, Any]) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        frames.split(wire(vector), masked=vector["expect"]["masked"])
    assert caught.value.reason == vector["expect"]["fault"]


@of("frame", faulty=True)
def test_frame_fault_is_one_for_wsproto_too(vector: dict[str, Any]) -> None:
    peer = FrameProtocol(client=not vector["expect"]["masked"], extensions=[])
    peer.receive_bytes(wire(vector))
    with pytest.raises(ParseFailed):
        list(peer.received_frames())


def test_handshake_of_the_rfc() -> None:
    by_name = {vector["name"]: vector for vector in VECTORS}
    asked, answered = by_name["upgrade-request"], by_name["upgrade-accepted"]
    expect = asked["expect"]
    key = expect["key"].encode()
    headers = [(name, value) for name, value in expect["headers"]]
    assert handshake.upgrade_request(expect["host"], expect["target"], key, headers) == wire(asked)
    assert handshake.new_key(b"the sample nonce") == key
    assert handshake.accept_for(key) == answered["expect"]["accept"].encode()
    parsed = handshake.parse_response(wire(answered) + b"\x81\x00")
    assert parsed is not None
    response, used = parsed
    assert (response.status, used) == (101, len(wire(answered)))
    handshake.check_upgrade(response, key, subprotocols=("chat", "superchat"))


@of("engineio")
def test_engineio_both_ways(vector: dict[str, Any]) -> None:
    expect = vector["expect"]
    payload: str | bytes = vector["text"] if "text" in vector else wire(vector)
    data = expect["data"] if "data" in expect else bytes.fromhex(expect["data_hex"])
    packet = engineio.EnginePacket(engineio.EngineType(expect["type"]), data)
    assert engineio.decode_packet(payload) == packet
    assert engineio.encode_packet(packet) == payload
    assert EnginePeer(encoded_packet=payload).packet_type == expect["type"]
    if "open" in expect:
        opened = engineio.OpenData(**{**expect["open"], "upgrades": tuple(expect["open"]["upgrades"])})
        assert engineio.decode_open(data) == opened
        assert engineio.encode_open(opened) == data


@of("socketio")
def test_socketio_both_ways(vector: dict[str, Any]) -> None:
    expect = vector["expect"]
    attachments = tuple(bytes.fromhex(item) for item in expect["attachments_hex"])
    header = socketio.SocketPacket(
        socketio.SocketType(expect["type"]), expect["namespace"], expect["data"], expect["id"], len(attachments)
    )
    assert socketio.decode_packet(vector["text"]) == header
    whole = socketio.assemble(header, attachments) if attachments else header
    assert socketio.encode_packet(whole) == (vector["text"], attachments)
    peer = SocketPeer(encoded_packet=vector["text"])
    assert (peer.packet_type, peer.namespace or "/", peer.data, peer.id) == (
        expect["type"],
        expect["namespace"],
        expect["data"],
        expect["id"],
    )


@of("socketio", faulty=True)
def test_socketio_fault_is_named(vector: dict[str, Any]) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        socketio.decode_packet(vector["text"])
    assert caught.value.reason == vector["expect"]["fault"]
