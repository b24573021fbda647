"""Frames against wsproto and websockets, both directions, cut and fragmented at random."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets import frames as websockets_frames
from websockets.exceptions import PayloadTooBig
from websockets.exceptions import ProtocolError as WebsocketsError
from websockets.streams import StreamReader
from wsproto.frame_protocol import FrameProtocol, ParseFailed

from loadtest.errors import RemoteProtocolError
from loadtest.protocol.frames import BINARY, CLOSE, CONTINUATION, TEXT, Frame, MessageReader, encode, parse_close, split

modest = settings(max_examples=120, deadline=None, derandomize=True, database=None)

CONTROL = st.tuples(st.sampled_from([0x9, 0xA]), st.binary(max_size=125))
TEXT_MESSAGE = st.tuples(st.just(TEXT), st.text(max_size=200).map(lambda value: value.encode()))
BINARY_MESSAGE = st.tuples(st.just(BINARY), st.binary(max_size=200) | st.integers(0, 70_000).map(bytes))
MESSAGES = st.lists(CONTROL | TEXT_MESSAGE | BINARY_MESSAGE, max_size=6)
MASKS = st.none() | st.just(b"\0\0\0\0") | st.binary(min_size=4, max_size=4)
CUTS = st.lists(st.integers(1, 4000), min_size=1, max_size=20)


def fragments(opcode: int, payload: bytes, sizes: list[int]) -> Iterator[Frame]:
    """Cut a data message into frames of the given sizes, in turn; control messages stay whole."""
    start, first = 0, opcode
    if opcode < CLOSE:
        for size in sizes:
            if start + size >= len(payload):
                break
            yield Frame(first, payload[start : start + size], False)
            start, first = start + size, CONTINUATION
    yield Frame(first, payload[start:], True)


def chunks(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    turn = 0
    while data:
        size = sizes[turn % len(sizes)]
        yield data[:size]
        data, turn = data[size:], turn + 1


def wsproto_messages(peer: FrameProtocol, data: bytes, sizes: list[int]) -> list[tuple[int, bytes]]:
    """Read messages with wsproto, which hands out pieces as they come."""
    messages: list[tuple[int, bytes]] = []
    held, opcode = b"", None
    for chunk in chunks(data, sizes):
        peer.receive_bytes(chunk)
        for frame in peer.received_frames():
            payload = frame.payload.encode() if isinstance(frame.payload, str) else bytes(frame.payload)  # type: ignore[arg-type]
            if frame.opcode.iscontrol():
                messages.append((int(frame.opcode), payload))
                continue
            opcode = int(frame.opcode) if opcode is None else opcode
            held += payload
            if frame.message_finished:
                messages.append((opcode, held))
                held, opcode = b"", None
    return messages


@modest
@given(MESSAGES, MASKS, CUTS, st.lists(st.integers(0, 300), max_size=4))
def test_wsproto_reads_what_we_write(
    messages: list[tuple[int, bytes]], mask: bytes | None, cuts: list[int], sizes: list[int]
) -> None:
    wire = b"".join(
        encode(part.opcode, part.payload, mask=mask, fin=part.fin)
        for opcode, payload in messages
        for part in fragments(opcode, payload, sizes)
    )
    peer = FrameProtocol(client=mask is None, extensions=[])
    assert wsproto_messages(peer, wire, cuts) == messages


@modest
@given(MESSAGES, st.booleans(), CUTS)
def test_we_read_what_wsproto_writes(messages: list[tuple[int, bytes]], masked: bool, cuts: list[int]) -> None:
    peer = FrameProtocol(client=masked, extensions=[])
    wire = b""
    for opcode, payload in messages:
        if opcode == 0x9:
            wire += bytes(peer.ping(payload))
        elif opcode == 0xA:
            wire += bytes(peer.pong(payload))
        else:
            half = len(payload) // 2 if opcode == BINARY else len(payload.decode()) // 2
            whole: bytes | str = payload if opcode == BINARY else payload.decode()
            wire += bytes(peer.send_data(whole[:half], fin=False)) + bytes(peer.send_data(whole[half:], fin=True))
    reader = MessageReader(masked=masked)
    got = [frame for chunk in chunks(wire, cuts) for frame in reader.feed(chunk)]
    assert [(frame.opcode, frame.payload) for frame in got] == messages
    assert not reader.pending


def websockets_parse(data: bytes, *, masked: bool, max_size: int) -> list[Frame]:
    """Parse whole frames with websockets; raise its errors, stop where bytes end."""
    stream = StreamReader()
    stream.feed_data(data)
    frames: list[Frame] = []
    while True:
        step = websockets_frames.Frame.parse(stream.read_exact, mask=masked, max_size=max_size)
        try:
            next(step)
        except StopIteration as done:
            frame: websockets_frames.Frame = done.value
            frames.append(Frame(int(frame.opcode), bytes(frame.data), frame.fin))
        else:
            step.close()
            return frames


@modest
@given(MESSAGES, st.booleans(), st.lists(st.integers(0, 300), max_size=4))
def test_websockets_writes_and_reads_the_same_frames(
    messages: list[tuple[int, bytes]], masked: bool, sizes: list[int]
) -> None:
    parts = [part for opcode, payload in messages for part in fragments(opcode, payload, sizes)]
    theirs = b"".join(
        websockets_frames.Frame(websockets_frames.Opcode(part.opcode), part.payload, part.fin).serialize(mask=masked)
        for part in parts
    )
    assert split(theirs, masked=masked) == (tuple(parts), len(theirs))
    ours = b"".join(
        encode(part.opcode, part.payload, mask=b"\1\2\3\4" if masked else None, fin=part.fin) for part in parts
    )
    assert websockets_parse(ours, masked=masked, max_size=1 << 20) == parts
    if not masked:
        assert ours == theirs


# Bytes that look like frames, so that every check is reached: a head drawn from the interesting ones, then anything.
HEADS = st.builds(
    lambda first, second, rest: bytes((first, second)) + rest,
    st.sampled_from([0x01, 0x81, 0x82, 0x80, 0x00, 0x88, 0x89, 0x8A, 0x09, 0x83, 0x8B, 0xC1, 0x91])
    | st.integers(0, 255),
    st.sampled_from([0, 1, 2, 125, 126, 127, 0x80, 0x81, 0xFE, 0xFF]) | st.integers(0, 255),
    st.sampled_from([b"", b"\0\0", b"\0\x7d", b"\0\x7e", b"\0" * 8, b"\0" * 6 + b"\xff\xff", b"\0" * 5 + b"\1\0\0"])
    | st.binary(max_size=12),
)
WIRE = st.lists(HEADS, max_size=4).map(b"".join)


def websockets_accepts(data: bytes, *, masked: bool) -> list[Frame] | None:
    try:
        return websockets_parse(data, masked=masked, max_size=4096)
    except (WebsocketsError, PayloadTooBig):
        return None


@settings(modest, max_examples=600)
@given(WIRE, st.booleans())
def test_websockets_accepts_and_refuses_the_same_bytes(data: bytes, masked: bool) -> None:
    try:
        ours, _ = split(data, masked=masked, max_payload=4096)
    except RemoteProtocolError as error:
        data += bytes(5000)  # websockets judges some faults only when the payload has arrived.
        # RFC 6455 demands the shortest length; websockets is lenient there, wsproto is not.
        assert error.reason == "bad_length" or websockets_accepts(data, masked=masked) is None  # noqa: PT017
    else:
        assert websockets_accepts(data, masked=masked) == list(ours)


@settings(modest, max_examples=400)
@given(WIRE.filter(lambda data: b"\x88" not in data), st.booleans())
def test_wsproto_accepts_and_refuses_the_same_frames(data: bytes, masked: bool) -> None:
    reader = MessageReader(masked=masked)
    peer = FrameProtocol(client=not masked, extensions=[])
    try:
        used = split(data, masked=masked)[1]
        reader.feed(data[:used])
    except RemoteProtocolError as error:
        if error.reason != "frame_too_large":  # wsproto has no limit, and judges later than we do.
            peer.receive_bytes(data + bytes(5000))
            with pytest.raises(ParseFailed):
                list(peer.received_frames())
        return
    peer.receive_bytes(data[:used])
    try:
        list(peer.received_frames())
    except ParseFailed as failure:
        # wsproto checks the text of an unfinished message as it comes, we when it is whole.
        assert reader.pending and "UTF" in str(failure).upper()  # noqa: PT017, PT018


@modest
@given(st.sampled_from([1000, 1001, 1011, 3000, 4999]), st.text(max_size=30))
def test_close_of_websockets_is_read(code: int, reason: str) -> None:
    theirs = websockets_frames.Close(code, reason).serialize()
    assert parse_close(theirs) == (code, reason)


@modest
@given(st.binary(max_size=8) | st.integers(990, 5010).map(lambda code: code.to_bytes(2, "big") + b"why"))
def test_wsproto_accepts_and_refuses_the_same_close(payload: bytes) -> None:
    peer = FrameProtocol(client=True, extensions=[])
    peer.receive_bytes(encode(CLOSE, payload, mask=None))
    try:
        code, reason = parse_close(payload)
    except RemoteProtocolError:
        with pytest.raises(ParseFailed):
            list(peer.received_frames())
    else:
        (frame,) = peer.received_frames()
        assert (int(frame.payload[0]), frame.payload[1] or "") == (code, reason)
