"""RFC 6455 frames: bytes <-> Frame. `split` keeps nothing between calls, `MessageReader` is the one that remembers.

    chunk --split--> whole frames, bytes consumed          fast: equal chunks may be split once and looked up after
    chunks --MessageReader.feed--> whole messages          slow: fragments and frames cut by the network

Law: the peer's fault raises RemoteProtocolError with its class as `reason`, ours LocalProtocolError; no input raises
anything else. Sizes are judged on the announced length, before the bytes arrive.

Source: RFC 6455 sections 5 (framing) and 7.4 (close codes).
"""

from __future__ import annotations

from typing import NamedTuple

from loadtest.errors import LocalProtocolError, RemoteProtocolError

CONTINUATION = 0x0
TEXT = 0x1
BINARY = 0x2
CLOSE = 0x8
PING = 0x9
PONG = 0xA

MAX_PAYLOAD_BYTES = 17 << 20
"""The largest padding a profile may ask for, 16 MiB, and the message around it."""
MAX_MESSAGE_BYTES = MAX_PAYLOAD_BYTES
MAX_CONTROL_BYTES = 125
ZERO_MASK = b"\0\0\0\0"
NO_STATUS = 1005

_OPCODES = frozenset((CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG))
_SENDABLE_CODES = frozenset((*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)))


class Frame(NamedTuple):
    """One frame, unmasked. `fin` False means that continuation frames follow."""

    opcode: int
    payload: bytes
    fin: bool = True


# First byte -> (opcode, fin), for every legal first byte: FIN, no RSV bits, known opcode, control frames final.
_FIRST_BYTES = {
    opcode | (0x80 if fin else 0): (opcode, fin)
    for opcode in _OPCODES
    for fin in (True, False)
    if fin or opcode < CLOSE
}


def split(data: bytes, masked: bool = False, max_payload: int = MAX_PAYLOAD_BYTES) -> tuple[tuple[Frame, ...], int]:
    """Cut a chunk into its whole frames.

    Args:
        data: bytes as received, beginning at a frame boundary.
        masked: True on the server's side (frames of a client must be masked), False on the client's.
        max_payload: largest payload of one frame, in bytes.

    Returns:
        The whole frames and the number of bytes they took; the rest is the beginning of a frame not yet complete.

    Raises:
        RemoteProtocolError: `reason` in bad_rsv, bad_opcode, bad_control, bad_mask, bad_length, frame_too_large.
            Frames before the faulty one in the same chunk are lost with it.

    Cost: about 0.6 us for one small frame.
    """
    frames: list[Frame] = []
    size = len(data)
    start = 0
    while size - start >= 2:
        head = _FIRST_BYTES.get(data[start])
        if head is None:
            raise _bad_first_byte(data[start])
        length = data[start + 1]
        if (length >= 0x80) is not masked:
            raise RemoteProtocolError(f"the peer's frame is {'not ' if masked else ''}masked", "bad_mask")
        length &= 0x7F
        at = start + 2
        if length > MAX_CONTROL_BYTES:
            if head[0] >= CLOSE:
                raise RemoteProtocolError("a control frame is longer than 125 bytes", "bad_control")
            at += 2 if length == 126 else 8
            if at > size:
                break
            length = _long_length(data[start + 2 : at])
        if length > max_payload:
            raise RemoteProtocolError(f"a frame of {length} bytes exceeds {max_payload}", "frame_too_large")
        if masked:
            at += 4
        end = at + length
        if end > size:
            break
        payload = data[at:end]
        if masked:
            payload = apply_mask(payload, data[at - 4 : at])
        frames.append(Frame(head[0], payload, head[1]))
        start = end
    return tuple(frames), start


def encode(opcode: int, payload: bytes, *, mask: bytes | None = ZERO_MASK, fin: bool = True) -> bytes:
    """Write one frame.

    Args:
        mask: 4 bytes, as a client must send (zeroes are legal and cost nothing); None for a server's frame.
        fin: False when continuation frames follow.

    Raises:
        LocalProtocolError: unknown opcode, fragmented or oversize control frame, mask not of 4 bytes.

    Cost: about 0.4 us for a small payload under a zero mask.
    """
    length = len(payload)
    first = opcode | 0x80 if fin else opcode
    if first not in _FIRST_BYTES or (opcode >= CLOSE and length > MAX_CONTROL_BYTES):
        raise LocalProtocolError(f"no such frame: opcode {opcode}, fin {fin}, {length} bytes")
    bit = 0 if mask is None else 0x80
    if length <= 125:
        head = bytes((first, bit | length))
    elif length <= 0xFFFF:
        head = bytes((first, bit | 126)) + length.to_bytes(2, "big")
    else:
        head = bytes((first, bit | 127)) + length.to_bytes(8, "big")
    if mask is None:
        return head + payload
    if mask == ZERO_MASK:
        return head + ZERO_MASK + payload
    return head + mask + apply_mask(payload, mask)


def apply_mask(payload: bytes, mask: bytes) -> bytes:
    """XOR a payload with a 4-byte key, which masks and unmasks (RFC 6455 section 5.3)."""
    if len(mask) != 4:
        raise LocalProtocolError(f"a mask is 4 bytes, not {len(mask)}")
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")


def close_payload(code: int = NO_STATUS, reason: str = "") -> bytes:
    """Build the payload of a close frame; code 1005 (no status) is the empty payload.

    Raises:
        LocalProtocolError: a code that must not be sent, a reason over 123 bytes or without a code.
    """
    if code == NO_STATUS and not reason:
        return b""
    text = reason.encode("utf-8", "replace")
    if code not in _SENDABLE_CODES or len(text) > MAX_CONTROL_BYTES - 2:
        raise LocalProtocolError(f"close code {code} with a reason of {len(text)} bytes cannot be sent")
    return code.to_bytes(2, "big") + text


def parse_close(payload: bytes) -> tuple[int, str]:
    """Read the payload of a close frame as (code, reason); empty is (1005, "").

    Raises:
        RemoteProtocolError: `reason` bad_close for one byte or a code that must not be sent, bad_utf8.
    """
    if not payload:
        return NO_STATUS, ""
    code = int.from_bytes(payload[:2], "big")
    if len(payload) < 2 or code not in _SENDABLE_CODES:
        raise RemoteProtocolError(f"close code {code} in {len(payload)} bytes is not legal", "bad_close")
    return code, decode_text(payload[2:])


def decode_text(payload: bytes) -> str:
    """Decode UTF-8, or raise RemoteProtocolError with `reason` bad_utf8."""
    try:
        return payload.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RemoteProtocolError(f"text is not UTF-8 at byte {error.start}", "bad_utf8") from None


class MessageReader:
    """Turn one connection's chunks into whole messages: the slow path, for what `split` alone cannot finish.

    Data frames come out joined (fin True, opcode of the first fragment), control frames at once, even between
    fragments. After a fault the reader is of no further use, as is its connection.
    """

    __slots__ = ("_buffer", "_fragments", "_masked", "_max_message", "_max_payload", "_need", "_opcode", "_size")

    def __init__(
        self, masked: bool = False, max_payload: int = MAX_PAYLOAD_BYTES, max_message: int = MAX_MESSAGE_BYTES
    ) -> None:
        self._masked = masked
        self._max_payload = max_payload
        self._max_message = max_message
        self._buffer = bytearray()
        self._need = 2
        self._fragments: list[bytes] = []
        self._opcode = CONTINUATION
        self._size = 0

    @property
    def pending(self) -> bool:
        """True while bytes or fragments of an unfinished message are held."""
        return bool(self._buffer) or self._opcode != CONTINUATION

    def feed(self, data: bytes) -> list[Frame]:
        """Take a chunk of any size and return the messages it completes, in order.

        Raises:
            RemoteProtocolError: as `split`; also bad_fragment, message_too_large, bad_utf8.

        Cost: linear in the bytes of a message however it is cut.
        """
        self._buffer += data
        if len(self._buffer) < self._need:
            return []
        frames, used = split(bytes(self._buffer), self._masked, self._max_payload)
        del self._buffer[:used]
        self._need = self._bytes_needed()
        messages: list[Frame] = []
        for frame in frames:
            if frame.opcode >= CLOSE:
                messages.append(frame)
            elif (whole := self._join(frame)) is not None:
                messages.append(whole)
        return messages

    def _join(self, frame: Frame) -> Frame | None:
        if (frame.opcode == CONTINUATION) is (self._opcode == CONTINUATION):
            raise RemoteProtocolError(
                "a continuation without a beginning" if frame.opcode == CONTINUATION else "a message inside a message",
                "bad_fragment",
            )
        self._size += len(frame.payload)
        if self._size > self._max_message:
            raise RemoteProtocolError(f"a message exceeds {self._max_message} bytes", "message_too_large")
        self._opcode = self._opcode or frame.opcode
        self._fragments.append(frame.payload)
        if not frame.fin:
            return None
        whole = Frame(self._opcode, b"".join(self._fragments))
        self._fragments.clear()
        self._opcode = CONTINUATION
        self._size = 0
        if whole.opcode == TEXT:
            decode_text(whole.payload)
        return whole

    def _bytes_needed(self) -> int:
        """Bytes the buffer must hold before its first frame can be judged further; keeps trickled input linear."""
        held = self._buffer
        if len(held) < 2:
            return 2
        short = held[1] & 0x7F
        head = 2 + (2 if short == 126 else 8 if short == 127 else 0)
        if len(held) < head:
            return head
        length = short if short < 126 else int.from_bytes(held[2:head], "big")
        return head + (4 if self._masked else 0) + length


def _long_length(field: bytes) -> int:
    length = int.from_bytes(field, "big")
    if length <= (MAX_CONTROL_BYTES if len(field) == 2 else 0xFFFF) or length >= 1 << 63:
        raise RemoteProtocolError(f"length {length} is not written in its shortest form", "bad_length")
    return length


def _bad_first_byte(first: int) -> RemoteProtocolError:
    opcode = first & 0x0F
    if first & 0x70:
        return RemoteProtocolError("a reserved bit is set though no extension was agreed on", "bad_rsv")
    if opcode not in _OPCODES:
        return RemoteProtocolError(f"opcode {opcode:#x} does not exist", "bad_opcode")
    return RemoteProtocolError("a control frame is fragmented", "bad_control")
