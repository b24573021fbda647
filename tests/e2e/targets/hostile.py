"""A server that misbehaves, by path. One port, one process, no library of WebSocket at all.

    before the upgrade                          after a correct upgrade
    /reset        RST on the first byte         /malformed      frames with reserved bits and a bad opcode
    /close        FIN on the first byte         /masked         a masked server frame
    /403 /503     that status; 503 has          /oversize       a frame that claims 2^40 bytes
                  Retry-After: 7                /bad-utf8       a text frame that is not UTF-8
    /redirect     302 elsewhere                 /garbage-packet a text frame that is no packet of any dialect
    /garbage      bytes that are no HTTP        /cut            half a frame, then FIN
    /bad-accept   101 with a wrong accept       /stop-reading   never reads again, the window fills
    /huge-head    a header that never ends      /silent         says nothing, reads everything
    /slow-head    one byte of the head a second /abrupt         RST half a second after the upgrade
    /never        accepts, never answers        /close-1013     a close frame with "try again later"

The path's last segment counts, so a prefix may be put before it. "refuse" is a port without a listener: the second
number on stdout. First line on stdout: {"port": N, "refused_port": M}.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import signal
import socket
import struct
import sys

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

RAW = {
    "403": b"HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\ngo off",
    "503": b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n",
    "redirect": b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    "garbage": b"\x00\xff\x13\x37 this is not the protocol you are looking for \r\n\r\n" * 20,
    "bad-accept": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
}

FRAMES = {
    "malformed": b"\xf3\x02hi",
    "masked": b"\x81\x82\x00\x00\x00\x00hi",
    "oversize": b"\x82\x7f" + (1 << 40).to_bytes(8, "big") + b"x" * 4096,
    "bad-utf8": b"\x81\x04\xc3\x28\xa0\xa1",
    "garbage-packet": b"\x81\x0a{[(<4x?\x01\x7f9",
    "cut": b"\x81\x7e\x01\x00only the beginning",
    "close-1013": b"\x88\x11" + (1013).to_bytes(2, "big") + b"try again later",
}
THEN_ENDS = {"cut", "close-1013"}
unread: list[asyncio.StreamWriter] = []


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with an RST instead of a FIN."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def upgrade(head: bytes) -> bytes:
    """Return the correct answer to an upgrade request."""
    fields = dict(
        line.lower().split(b":", 1)[:1] + line.split(b":", 1)[1:] for line in head.split(b"\r\n") if b":" in line
    )
    key = fields.get(b"sec-websocket-key", b"").strip()
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    upgraded = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    return upgraded + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"


async def misbehave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    path = head.split(b" ", 2)[1].split(b"?")[0].decode("ascii", "replace")
    mode = path.rstrip("/").rpartition("/")[2]
    if mode == "reset":
        reset(writer)
    elif mode in RAW:
        writer.write(RAW[mode])
        await writer.drain()
    elif mode == "huge-head":
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\n")
        while True:
            writer.write(b"X-Padding: " + b"a" * 1000 + b"\r\n")
            await writer.drain()
    elif mode == "slow-head":
        for byte in b"HTTP/1.1 101 Switching Protocols\r\nX-Slow: " + b"z" * 600:
            writer.write(bytes([byte]))
            await asyncio.sleep(1)
    elif mode == "never":
        await reader.read()
    elif mode != "close":
        writer.write(upgrade(head) + FRAMES.get(mode, b""))
        await writer.drain()
        await after_upgrade(mode, reader, writer)


async def after_upgrade(mode: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    if mode == "abrupt":
        await asyncio.sleep(0.5)
        reset(writer)
    elif mode == "stop-reading":
        writer.transport.pause_reading()
        unread.append(writer)  # nothing else would hold it any more, and garbage collection would close it
        await asyncio.Event().wait()
    elif mode not in THEN_ENDS:
        while await reader.read(65_536):
            pass  # reads on and says nothing more


async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        await misbehave(reader, writer)
    writer.close()


async def main() -> None:
    ending = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
    with socket.socket() as unheard:  # bound and never listening: connects are refused, nobody else gets the port
        unheard.bind(("127.0.0.1", 0))
        server = await asyncio.start_server(handle, "127.0.0.1", 0, backlog=1024)
        ports = {"port": server.sockets[0].getsockname()[1], "refused_port": unheard.getsockname()[1]}
        sys.stdout.write(json.dumps(ports) + "\n")
        sys.stdout.flush()
        await ending.wait()


if __name__ == "__main__":
    asyncio.run(main())
