"""Frames by literal bytes: cuts, limits, faults, reassembly."""

from __future__ import annotations

import pytest

from loadtest.errors import LocalProtocolError, RemoteProtocolError
from loadtest.protocol.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    TEXT,
    Frame,
    MessageReader,
    apply_mask,
    close_payload,
    encode,
    parse_close,
    split,
)

HI = b"\x81\x02hi"
KEY = b"\x37\xfa\x21\x3d"


def reason_of(data: bytes, **options: int) -> str:
    with pytest.raises(RemoteProtocolError) as caught:
        split(data, **options)  # type: ignore[arg-type]
    return caught.value.reason


def test_split_returns_whole_frames_and_leaves_the_rest() -> None:
    assert split(b"") == ((), 0)
    assert split(HI + b"\x89\x00" + HI[:3]) == ((Frame(TEXT, b"hi"), Frame(PING, b"")), 6)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536])
@pytest.mark.parametrize("mask", [None, b"\0\0\0\0", KEY])
def test_split_waits_at_every_cut_inside_a_frame(size: int, mask: bytes | None) -> None:
    payload = bytes(range(256)) * (size // 256) + bytes(size % 256)
    data = encode(BINARY, payload, mask=mask)
    heads = range(min(len(data), 14))
    for cut in [*heads, len(data) - 1]:
        assert split(data[:cut], masked=mask is not None) == ((), 0)
    assert split(data, masked=mask is not None) == ((Frame(BINARY, payload),), len(data))


def test_split_judges_an_announced_length_before_the_bytes_arrive() -> None:
    assert reason_of(b"\x82\x7e\x10\x01", max_payload=4096) == "frame_too_large"
    assert split(b"\x82\x7e\x10\x00", max_payload=4096) == ((), 0)
    assert reason_of(b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff") == "frame_too_large"


def test_split_names_the_fault_behind_a_good_frame() -> None:
    assert reason_of(HI + b"\xff\x00") == "bad_rsv"


def test_encode_refuses_what_the_protocol_forbids() -> None:
    refused: list[tuple[int, bytes, bool, bytes | None]] = [
        (3, b"", True, None),
        (0x91, b"", True, None),
        (PING, b"", False, None),
        (CLOSE, bytes(126), True, None),
        (TEXT, b"x", True, b"\1\2\3"),
    ]
    for opcode, payload, fin, mask in refused:
        with pytest.raises(LocalProtocolError):
            encode(opcode, payload, fin=fin, mask=mask)


def test_mask_is_its_own_inverse() -> None:
    assert apply_mask(b"Hello", KEY) == bytes.fromhex("7f9f4d5158")
    assert apply_mask(bytes.fromhex("7f9f4d5158"), KEY) == b"Hello"
    assert apply_mask(b"", KEY) == b""


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "going away"), (4008, "slow"), (1005, "")])
def test_close_payload_round_trips(code: int, reason: str) -> None:
    assert parse_close(close_payload(code, reason)) == (code, reason)


@pytest.mark.parametrize(("code", "reason"), [(1005, "x"), (1006, ""), (999, ""), (5000, ""), (1000, "x" * 124)])
def test_close_payload_refuses_what_must_not_be_sent(code: int, reason: str) -> None:
    with pytest.raises(LocalProtocolError):
        close_payload(code, reason)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"\x03", "bad_close"),
        (b"\x03\xed", "bad_close"),
        (b"\x03\xee", "bad_close"),
        (b"\x00\x00", "bad_close"),
        (b"\x03\xe8\xff", "bad_utf8"),
    ],
)
def test_parse_close_names_the_fault(payload: bytes, reason: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_close(payload)
    assert caught.value.reason == reason


def test_reader_joins_fragments_around_a_control_frame_fed_byte_by_byte() -> None:
    reader = MessageReader()
    got: list[Frame] = []
    for byte in b"\x01\x03Hel\x89\x01!\x80\x02lo" + HI:
        got += reader.feed(bytes((byte,)))
        assert reader.pending or got[-1] in (Frame(TEXT, b"Hello"), Frame(TEXT, b"hi"))
    assert got == [Frame(PING, b"!"), Frame(TEXT, b"Hello"), Frame(TEXT, b"hi")]
    assert not reader.pending


def test_reader_unmasks_on_the_servers_side() -> None:
    data = encode(TEXT, b"Hel", mask=KEY, fin=False) + encode(CONTINUATION, b"lo", mask=KEY)
    reader = MessageReader(masked=True)
    assert reader.feed(data[:5]) == []
    assert reader.pending
    assert reader.feed(data[5:]) == [Frame(TEXT, b"Hello")]


def test_reader_limits_each_message_not_their_sum() -> None:
    reader = MessageReader(max_message=4)
    assert reader.feed(HI * 2 + b"\x01\x02ab\x80\x02cd" + HI) == [
        *[Frame(TEXT, b"hi")] * 2,
        Frame(TEXT, b"abcd"),
        Frame(TEXT, b"hi"),
    ]


def test_reader_is_pending_between_fragments() -> None:
    reader = MessageReader()
    assert reader.feed(b"\x01\x00") == []
    assert reader.pending
    assert reader.feed(b"\x80\x00") == [Frame(TEXT, b"")]
    assert not reader.pending


def test_reader_accepts_a_character_split_over_fragments_only_when_it_is_completed() -> None:
    euro = "€".encode()
    assert MessageReader().feed(b"\x01\x01" + euro[:1] + b"\x80\x02" + euro[1:]) == [Frame(TEXT, euro)]
    with pytest.raises(RemoteProtocolError) as caught:
        MessageReader().feed(b"\x01\x01" + euro[:1] + b"\x80\x01" + euro[1:2])
    assert caught.value.reason == "bad_utf8"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x80\x00", "bad_fragment"),
        (b"\x01\x00\x81\x00", "bad_fragment"),
        (b"\x01\x05aaaaa\x00\x05bbbbb\x80\x01c", "message_too_large"),
        (b"\x82\x0bccccccccccc", "message_too_large"),
    ],
)
def test_reader_names_the_fault(data: bytes, reason: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        MessageReader(max_message=10).feed(data)
    assert caught.value.reason == reason
