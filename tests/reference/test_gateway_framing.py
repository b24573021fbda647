"""Frames: literal bytes from RFC 6455, any chopping of the stream, and the fast path held to wsproto."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol, Opcode, ParseFailed

from reference_gateway import wire
from reference_gateway.gateway.framing import (
    Assembly,
    FrameReader,
    FramingError,
    close_frame,
    is_close,
    pong_frame,
    short_payload,
    short_texts,
    text_frame,
)

from .conftest import masked

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "contract" / "wire_vectors.json").read_text("utf-8")
)
FAULTY = {  # all but the one that is a fault for clients only: to a server, a masked frame is right
    v["name"]: v for v in VECTORS if v["layer"] == "frame" and "fault" in v["expect"] and v["name"] != "server-masked"
}
MAX_BYTES = 70_000


def read(chunks: list[bytes], reader: FrameReader | None = None) -> list[tuple[int, object]]:
    reader, assembly = reader or FrameReader(MAX_BYTES), Assembly()
    got = [(int(kind), payload) for chunk in chunks for kind, payload in reader.feed(assembly, chunk)]
    assert assembly.idle
    return got


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (bytes.fromhex("818537fa213d7f9f4d5158"), [(1, "Hello")]),
        (bytes.fromhex("8a8537fa213d7f9f4d5158"), [(10, b"Hello")]),
        (masked(0x01, b"Hel") + masked(0x80, b"lo"), [(1, "Hello")]),
        (masked(0x01, "ü".encode()[:1]) + masked(0x89, b"!") + masked(0x80, "ü".encode()[1:]), [(9, b"!"), (1, "ü")]),
        (masked(0x81, b"") + masked(0x82, b"\xff"), [(1, ""), (2, b"\xff")]),
        (masked(0x81, b"x" * 126), [(1, "x" * 126)]),
        (masked(0x81, b"x" * 65536), [(1, "x" * 65536)]),
        (masked(0x88, b"\x03\xe9bye"), [(8, 1001)]),
        (masked(0x88, b""), [(8, 1005)]),
    ],
)
def test_frames_are_read_whole_or_chopped_anywhere(data: bytes, expected: list[tuple[int, object]]) -> None:
    assert read([data]) == expected
    step = max(1, len(data) // 50)
    for cut in range(1, len(data), step):
        assert read([data[:cut], data[cut:]]) == expected
    if len(data) < 200:
        assert read([bytes([byte]) for byte in data]) == expected


def test_connections_in_the_middle_of_a_message_do_not_mix() -> None:
    reader, one, two = FrameReader(100), Assembly(), Assembly()
    assert list(reader.feed(one, masked(0x01, b"one "))) == []
    assert list(reader.feed(two, masked(0x02, b"two "))) == []
    assert read([masked(0x81, b"three")], reader) == [(1, "three")]
    assert list(reader.feed(two, masked(0x80, b"2"))) == [(Opcode.BINARY, b"two 2")]
    assert list(reader.feed(one, masked(0x80, b"1"))) == [(Opcode.TEXT, "one 1")]
    assert one.idle
    assert two.idle


@pytest.mark.parametrize("name", FAULTY)
def test_faulty_vector_is_refused_when_masked_as_a_client_must(name: str) -> None:
    data = bytearray.fromhex(FAULTY[name]["hex"])
    if name != "client-unmasked":
        width = {126: 2, 127: 8}.get(data[1], 0)
        data[1] |= 0x80
        size = int.from_bytes(data[2 : 2 + width], "big") if width else data[1] & 0x7F
        data += bytes(4 + min(size, 70_000))
    with pytest.raises(FramingError) as caught:
        read([bytes(data)])
    assert caught.value.close in (wire.BAD_FRAME, wire.TOO_BIG)
    assert (caught.value.close is wire.TOO_BIG) == (name == "length-64-negative")


@pytest.mark.parametrize(
    ("data", "close"),
    [
        (b"\x81\x05Hello", wire.BAD_FRAME),  # unmasked
        (b"\x81\x00", wire.BAD_FRAME),
        (b"GET / HTTP/1.1\r\n", wire.BAD_FRAME),
        (masked(0x80, b"lonely"), wire.BAD_FRAME),  # continuation of nothing
        (masked(0x01, b"a") + masked(0x81, b"b"), wire.BAD_FRAME),  # new message inside a message
        (masked(0x81, b"\xff"), wire.BAD_TEXT),
        (masked(0x01, b"\xc3") + masked(0x80, b""), wire.BAD_TEXT),
        (masked(0x88, b"\x03"), wire.BAD_FRAME),
        (masked(0x88, b"\x03\xed"), wire.BAD_FRAME),  # 1005 must not be sent
        (masked(0x88, b"\x03\xe8\xff"), wire.BAD_TEXT),
    ],
)
def test_peer_that_breaks_the_protocol_is_named(data: bytes, close: wire.CloseCode) -> None:
    reader = FrameReader(MAX_BYTES)
    with pytest.raises(FramingError) as caught:
        read([data], reader)
    assert caught.value.close is close
    assert read([masked(0x81, b"others live on")], reader) == [(1, "others live on")]


def test_closed_peer_leaves_the_shared_parser_usable() -> None:
    reader = FrameReader(100)
    assert read([masked(0x88, b"")], reader) == [(8, 1005)]
    assert read([masked(0x81, b"next")], reader) == [(1, "next")]


@pytest.mark.parametrize(
    "chunks",
    [
        [b"\x81\xfe\x00\x7f"],  # 127 > 126 declared, before any payload came
        [masked(0x01, b"x" * 100), b"\x80\x9a"],  # 100 + 26
        [b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff"],
    ],
)
def test_oversize_is_refused_on_the_declared_length(chunks: list[bytes]) -> None:
    with pytest.raises(FramingError) as caught:
        read(chunks, FrameReader(126))
    assert caught.value.close is wire.TOO_BIG


_FRAMES = st.builds(masked, st.sampled_from([0x81, 0x81, 0x81, 0x01, 0x82, 0x89, 0xC1]), st.binary(max_size=127))


@given(st.binary(max_size=140) | st.lists(_FRAMES, max_size=4).map(b"".join))
def test_short_texts_agree_with_wsproto(data: bytes) -> None:
    try:
        texts = short_texts(data)
    except UnicodeDecodeError:
        texts = None
        with pytest.raises(FramingError):
            read([data])
    peer = FrameProtocol(False, [])
    peer.receive_bytes(data)
    try:
        frames = list(peer.received_frames())
    except ParseFailed:
        frames = []
    if texts is not None:
        assert [(f.opcode, f.payload, f.message_finished) for f in frames] == [
            (Opcode.TEXT, one, True) for one in texts
        ]
        assert read([data]) == [(1, one) for one in texts]


@given(st.binary(max_size=140), st.binary(min_size=4, max_size=4) | st.just(bytes(4)), st.integers(0, 3))
def test_short_payload_is_that_of_a_chunk_that_is_one_short_text_frame(text: bytes, mask: bytes, cut: int) -> None:
    frame = (
        bytes([0x81, 0x80 | min(len(text), 127)]) + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(text))
    )
    assert short_payload(frame[: len(frame) - cut]) == (text if len(text) <= 125 and not cut else None)
    assert short_payload(frame + b"\x81") is None


@pytest.mark.parametrize("mask", [bytes(4), b"7\xfa!="])
@pytest.mark.parametrize("first", [0x01, 0x80, 0x82, 0x88, 0x89, 0x8A, 0xC1])
def test_short_payload_leaves_frames_that_are_no_final_text_to_the_reader(first: int, mask: bytes) -> None:
    assert short_payload(bytes([first, 0x82]) + mask + b"hi") is None
    assert short_payload(bytes([0x81, 0x02]) + mask + b"hi") is None


@given(st.lists(st.text(max_size=41).filter(lambda text: len(text.encode()) <= 125), min_size=1, max_size=4))
def test_short_texts_take_every_short_text_frame(texts: list[str]) -> None:
    assert short_texts(b"".join(masked(0x81, text.encode()) for text in texts)) == texts


def test_short_texts_leave_a_chunk_with_an_unfinished_frame_to_the_reader() -> None:
    whole = masked(0x81, b"hello")
    assert short_texts(whole + whole[:-1]) is None
    assert short_texts(b"") is None


def test_short_texts_leave_unmasked_frames_to_the_reader_even_where_lengths_fit() -> None:
    assert short_texts(b"\x81\x02hi" + b"\x81\x02ho") is None
    with pytest.raises(FramingError):
        read([b"\x81\x02hi" + b"\x81\x02ho"])


def test_frames_are_written_unmasked() -> None:
    assert text_frame("Hello") == bytes.fromhex("810548656c6c6f")
    assert text_frame("x" * 126)[:4] == b"\x81\x7e\x00\x7e"
    assert pong_frame(b"Hello") == bytes.fromhex("8a0548656c6c6f")
    for row in wire.CLOSE_CODES.values():
        assert (
            close_frame(row) == bytes([0x88, 2 + len(row.meaning)]) + row.code.to_bytes(2, "big") + row.meaning.encode()
        )


@pytest.mark.parametrize("payload", [b"", b"\x03\xe9"])
def test_close_is_seen_alone_first_and_last(payload: bytes) -> None:
    close, other = masked(0x88, payload), masked(0x81, b"3")
    assert is_close(close)
    assert is_close(close + other)
    assert is_close(other + close)
    assert not is_close(other)
    assert not is_close(b"")


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 70_000])
@pytest.mark.parametrize("char", ["a", "\u00e9", "\U0001f600"])
def test_own_header_of_a_text_frame_is_that_of_wsproto(size: int, char: str) -> None:
    text = char * (size // len(char.encode())) + "b" * (size % len(char.encode()))
    assert text_frame(text) == bytes(FrameProtocol(False, []).send_data(text))
