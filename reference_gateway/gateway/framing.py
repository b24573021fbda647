"""WebSocket frames, server side: bytes in, messages out; wsproto does the protocol, one shared parser does the work.

The law: a parser only ever sees whole frames. Between two whole messages it is therefore idle, and one parser serves
every connection; a connection that is in the middle of a fragmented message keeps the parser until it is through.
So framing costs an idle connection no memory (a wsproto parser of its own would cost it 848 bytes).

    chunk --short_payload--> bytes                 one complete, masked, final text frame up to 125 bytes: 0.3-0.9 us
      \\--short_texts--> str, ...                  several of them: 1.4 us each
      \\--FrameReader.feed(assembly)--> (kind, payload), ...      everything else, through wsproto: 13 us and up

`short_payload`, `short_texts` and the header of `text_frame` are ours because nearly all frames have those shapes and
the library's general way costs eight times as much; tests hold them to wsproto. Source: RFC 6455 sections 5.2 to 5.5.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from wsproto.frame_protocol import CloseReason, FrameProtocol, Opcode, ParseFailed

from reference_gateway import wire

_FINAL_TEXT = 0x81
_MASKED = 0x80
_OPCODES = frozenset({0, 1, 2, 8, 9, 10})
_BARE_HEADERS = [bytes((_FINAL_TEXT, _MASKED | size, 0, 0, 0, 0)) for size in range(126)]  # masked with zeros


class FramingError(Exception):
    """The peer broke RFC 6455 or a bound; `close` is the code to end the connection with."""

    def __init__(self, close: wire.CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.close = close


class Received(NamedTuple):
    """One message or control frame. `payload`: text, bytes, or for CLOSE the peer's code (1005: none given)."""

    kind: Opcode
    payload: str | bytes | int


class Assembly:
    """What a connection keeps while a frame is incomplete or a message fragmented; it exists only then."""

    __slots__ = ("parser", "parts", "size_bytes", "tail")

    def __init__(self) -> None:
        self.tail = bytearray()
        self.parser: FrameProtocol | None = None
        self.parts: list[str | bytes] = []
        self.size_bytes = 0

    @property
    def idle(self) -> bool:
        """Whether nothing is pending, so that the assembly can be dropped."""
        return not self.tail and self.parser is None


def short_payload(data: bytes) -> bytes | None:
    """Return the payload of a chunk that is one whole, masked, final text frame of at most 125 bytes; else None.

    Cost: 0.2 us where the mask is zero, which is legal and what load generators use; else 0.9 us.
    """
    size = len(data) - 6
    if not 0 <= size <= 125:
        return None
    if data.startswith(_BARE_HEADERS[size]):
        return data[6:]
    if data[0] != _FINAL_TEXT or data[1] != _MASKED + size:
        return None
    return _unmasked(data, 0, size)


def _unmasked(data: bytes, start: int, size: int) -> bytes:
    """Return the payload of the frame of `size` bytes that begins at `start`."""
    words = (size + 3) >> 2
    key = int.from_bytes(data[start + 2 : start + 6] * words, "big")
    masked = int.from_bytes(data[start + 6 : start + 6 + size], "big") << ((words * 4 - size) * 8)
    return (masked ^ key).to_bytes(words * 4, "big")[:size]


def short_texts(data: bytes) -> list[str] | None:
    """Decode a chunk that is made of whole, masked, final text frames of at most 125 bytes; else return None.

    Raises:
        UnicodeDecodeError: a text is not UTF-8.
    Cost: 1.4 us per frame of 50 bytes.
    """
    texts = []
    start, end = 0, len(data)
    while start < end:
        if end - start < 6 or data[start] != _FINAL_TEXT:
            return None
        size = data[start + 1] - _MASKED
        stop = start + 6 + size
        if not 0 <= size <= 125 or stop > end:
            return None
        texts.append(_unmasked(data, start, size).decode())
        start = stop
    return texts or None


class FrameReader:
    """Read frames for every connection of a node; not to be used from two threads.

    Args:
        max_message_bytes: bound of one message, all its fragments together; checked on the declared length.
    """

    def __init__(self, max_message_bytes: int) -> None:
        self._max_message_bytes = max_message_bytes
        self._idle = FrameProtocol(False, [])

    def feed(self, assembly: Assembly, data: bytes) -> Iterator[Received]:
        """Yield what `data` completes; the rest stays in `assembly`.

        Raises:
            FramingError: the peer is to be disconnected; the assembly must not be used again.
        """
        tail = assembly.tail
        tail += data
        while True:
            size = self._frame_bytes(tail, assembly.size_bytes)
            if size is None or len(tail) < size:
                return
            frame = bytes(tail[:size])
            del tail[:size]
            received = self._frame(assembly, frame)
            if received is not None:
                yield received

    def _frame(self, assembly: Assembly, frame: bytes) -> Received | None:
        """Give one whole frame to the parser; return what it completes."""
        parser = assembly.parser or self._idle
        try:
            parser.receive_bytes(frame)
            (event,) = parser.received_frames()
        except ParseFailed as error:
            self._replace(parser)
            bad_text = error.code is CloseReason.INVALID_FRAME_PAYLOAD_DATA
            raise FramingError(wire.BAD_TEXT if bad_text else wire.BAD_FRAME, str(error)) from error
        payload = event.payload
        if event.opcode is Opcode.CLOSE:
            self._replace(parser)
            assert isinstance(payload, tuple)
            return Received(Opcode.CLOSE, int(payload[0]))
        assert not isinstance(payload, tuple)
        if event.opcode in (Opcode.PING, Opcode.PONG):
            return Received(event.opcode, payload)
        if event.message_finished and not assembly.parts:
            assembly.parser = None
            return Received(event.opcode, payload)
        assembly.parts.append(payload)
        assembly.size_bytes += len(frame)
        if not event.message_finished:
            self._replace(parser)
            assembly.parser = parser
            return None
        whole: str | bytes
        if event.opcode is Opcode.TEXT:
            whole = "".join(part for part in assembly.parts if isinstance(part, str))
        else:
            whole = b"".join(part for part in assembly.parts if isinstance(part, bytes))
        assembly.parser, assembly.parts, assembly.size_bytes = None, [], 0
        return Received(event.opcode, whole)

    def _replace(self, parser: FrameProtocol) -> None:
        if parser is self._idle:
            self._idle = FrameProtocol(False, [])

    def _frame_bytes(self, tail: bytearray, so_far_bytes: int) -> int | None:
        """Return the size of the frame that `tail` begins with, None while its header is incomplete.

        What a header alone can tell is judged here, so that a bad peer need not send the whole frame first.
        """
        if len(tail) < 2:
            return None
        first, second = tail[0], tail[1]
        if first & 0x70 or first & 0x0F not in _OPCODES:
            raise FramingError(wire.BAD_FRAME, "reserved bits or opcode")
        if not second & _MASKED:
            raise FramingError(wire.BAD_FRAME, "unmasked frame from a client")
        size, header_bytes = second & 0x7F, 6
        if first & 0x08 and (size > 125 or not first & 0x80):
            raise FramingError(wire.BAD_FRAME, "control frame too long or fragmented")
        if size > 125:
            width = 2 if size == 126 else 8
            if len(tail) < 2 + width:
                return None
            size, header_bytes = int.from_bytes(tail[2 : 2 + width], "big"), 6 + width
        if not first & 0x08 and so_far_bytes + size > self._max_message_bytes:
            raise FramingError(wire.TOO_BIG, f"message over {self._max_message_bytes} bytes")
        return header_bytes + size


_encoder = FrameProtocol(False, [])
_SHORT_HEADERS = [bytes((_FINAL_TEXT, size)) for size in range(126)]


def text_frame(text: str) -> bytes:
    """Encode one text message as one unmasked frame. Cost: 0.3 us up to 64 KiB, else 2.4 us and up."""
    payload = text.encode()
    size = len(payload)
    if size < 126:
        return _SHORT_HEADERS[size] + payload
    if size <= 0xFFFF:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return bytes(_encoder.send_data(text))


def binary_frame(payload: bytes) -> bytes:
    """Encode one binary message as one unmasked frame."""
    return bytes(_encoder.send_data(payload))


def payload_of(frame: bytes) -> bytes:
    """Return the payload of one frame of ours."""
    ((_, payload),) = own_frames(frame)
    return payload


def own_frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (opcode, payload) of frames of ours: whole, final and unmasked, as the functions here encode them."""
    at = 0
    while at < len(data):
        size, start = data[at + 1], at + 2
        if size > 125:
            width = 2 if size == 126 else 8
            size, start = int.from_bytes(data[start : start + width], "big"), start + width
        yield data[at] & 0x0F, data[start : start + size]
        at = start + size


@lru_cache(maxsize=64)
def close_frame(close: wire.CloseCode) -> bytes:
    """Encode the close frame of a row of the close code table."""
    return bytes(_encoder.close(close.code, close.meaning))


def pong_frame(payload: bytes) -> bytes:
    """Encode the answer to a WebSocket ping."""
    return bytes(_encoder.pong(payload))


def is_close(data: bytes) -> bool:
    """Say whether a chunk holds the peer's close frame, first or last: all we want to know once we closed."""
    return data[:1] == b"\x88" or data[-8:-7] == b"\x88" or data[-6:-5] == b"\x88"
