"""Socket.IO packets in text form: the protocol's own examples, the client library as the other side, hostile input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from socketio.packet import Packet as Peer

from reference_gateway.gateway import packets

VECTORS: list[dict[str, Any]] = [
    v
    for v in json.loads((Path(__file__).parents[1] / "contract" / "wire_vectors.json").read_text("utf-8"))
    if v["layer"] == "socketio"
]
FROM_CLIENTS = {0, 1, 2, 3}


@pytest.mark.parametrize("vector", VECTORS, ids=[v["name"] for v in VECTORS])
def test_vector_is_read_or_refused(vector: dict[str, Any]) -> None:
    expect, text = vector["expect"], "4" + vector["text"]
    if "fault" in expect or expect["type"] not in FROM_CLIENTS:
        with pytest.raises(packets.PacketError):
            packets.parse(text)
        return
    packet = packets.parse(text)
    assert packet.kind == str(expect["type"])
    assert packet.namespace == expect["namespace"]
    assert packet.ack == (None if expect["id"] is None else str(expect["id"]))
    assert packet.data == expect["data"]


@pytest.mark.parametrize(
    "text",
    [
        "4",
        "4x",
        "42",
        "42null",
        "42[1]",
        '42[""]',
        '42["connect"]',
        '42["disconnecting"]',
        '42["%s"]' % ("e" * 129),
        '42["a",NaN]',
        '42["a",-Infinity]',
        "42" + "[" * 100_000,
        '4212345678901234567890["a"]',
        '42["a"]x',
        '42/adm["a"]',
        '40"text"',
        "40[]",
        "40null",
        "41{}",
        "43{}",
        "431{}",
        '451-["a",{"_placeholder":true,"num":0}]',
        "43[]",
        '42["a",' + "9" * 5000 + "]",
    ],
)
def test_hostile_packet_is_refused(text: str) -> None:
    with pytest.raises(packets.PacketError):
        packets.parse(text)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        packets.parse("4" + text)
    except packets.PacketError:
        return


@given(
    st.text(min_size=1, max_size=20).filter(lambda name: name not in packets._RESERVED_EVENTS),
    st.lists(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20), max_size=3),
    st.none() | st.integers(0, 10**18),
)
def test_event_of_the_client_library_is_read(name: str, args: list[object], ack: int | None) -> None:
    text = "4" + Peer(packet_type=2, data=[name, *args], namespace="/", id=ack).encode()
    assert packets.parse(text) == ("2", "/", None if ack is None else str(ack), [name, *args])


@pytest.mark.parametrize("text", ['42["a"] ', '42 ["a"]', '42\t["a"]\r\n', '42[ "a" ]'])
def test_white_space_around_the_json_is_no_fault(text: str) -> None:
    assert packets.parse(text) == ("2", "/", None, ["a"])


def test_answers_are_read_by_the_client_library() -> None:
    ack = Peer(encoded_packet=packets.packet_text("3", "/", "7", [{"ok": True, "text": "\ud800ü"}])[1:])
    assert (ack.packet_type, ack.id, ack.data) == (3, 7, [{"ok": True, "text": "\ud800ü"}])
    event = Peer(encoded_packet=packets.event_text("revision", '{"revision": 3}')[1:])
    assert (event.packet_type, event.data) == (2, ["revision", {"revision": 3}])
    connect = Peer(encoded_packet=packets.connect_text("abc")[1:])
    assert (connect.packet_type, connect.data) == (0, {"sid": "abc"})
    error = Peer(encoded_packet=packets.connect_error_text("/admin", "Invalid namespace")[1:])
    assert (error.packet_type, error.namespace, error.data) == (4, "/admin", {"message": "Invalid namespace"})


def test_open_packet_tells_times_in_milliseconds() -> None:
    text = packets.open_text("sid", 25.0, 20.0, 1000)
    assert text[0] == "0"
    assert json.loads(text[1:]) == {
        "sid": "sid",
        "upgrades": [],
        "pingInterval": 25000,
        "pingTimeout": 20000,
        "maxPayload": 1000,
    }


def test_ids_are_url_safe_and_differ() -> None:
    ids = {packets.new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(one) == 20 and one.replace("-", "a").replace("_", "a").isalnum() for one in ids)
