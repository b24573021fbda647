"""Ask one part whether it is healthy: one small question on a fresh connection, an answer or not within a bound.

    probe_http:  GET /healthz  -> 200          (every part that speaks HTTP)
    probe_redis: PING          -> +PONG        (the broker)

Used by the stack (waiting for parts) and by godserver (choosing nodes). A probe never raises for what the peer does:
unreachable, slow and wrong are all "not healthy".
"""

from __future__ import annotations

import asyncio
import contextlib

_ANSWER_BYTES = 64


async def _ask(host: str, port: int, question: bytes, timeout_s: float) -> bytes:
    """Return the first bytes of the answer to `question`, empty when there is none within `timeout_s`."""
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(question)
            return await reader.readline()
    except (OSError, TimeoutError, ValueError):
        return b""
    finally:
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await writer.wait_closed()


async def probe_http(host: str, port: int, timeout_s: float = 2.0) -> bool:
    """Return whether `GET /healthz` is answered with status 200 within `timeout_s`."""
    question = f"GET /healthz HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode("ascii")
    status = (await _ask(host, port, question, timeout_s))[:_ANSWER_BYTES].split(b" ")
    return len(status) > 1 and status[1] == b"200"


async def probe_redis(host: str, port: int, timeout_s: float = 2.0) -> bool:
    """Return whether a Redis or Valkey server answers PING within `timeout_s`."""
    return (await _ask(host, port, b"PING\r\n", timeout_s)).startswith(b"+PONG")
