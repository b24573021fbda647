"""Ask one part whether it is healthy: one small question on a fresh connection, an answer or not within a bound.

    probe_http:  GET /healthz  -> 200          (every part that speaks HTTP)
    probe_redis: PING          -> +PONG        (the broker)

Used by the stack (waiting for parts) and by godserver (choosing nodes). A probe never raises for what the peer does;
it tells apart who is gone (UNREACHABLE) from who is too busy to answer (SILENT): in a storm every node is the latter.
"""

from __future__ import annotations

import asyncio
import contextlib
from enum import Enum

_ANSWER_BYTES = 64


class Health(Enum):
    """What a probe found."""

    HEALTHY = "healthy"
    UNWELL = "answers, but not that it is healthy"
    SILENT = "accepts connections, but gives no answer in time"
    UNREACHABLE = "accepts no connection"


async def _ask(host: str, port: int, question: bytes, timeout_s: float) -> bytes | Health:
    """Return the first bytes of the answer to `question`, or why there is none within `timeout_s`."""
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(question)
            return await reader.readline()
    except TimeoutError:
        return Health.SILENT
    except (OSError, ValueError):
        return Health.UNREACHABLE if writer is None else Health.UNWELL
    finally:
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await writer.wait_closed()


async def probe_http(host: str, port: int, timeout_s: float = 2.0) -> Health:
    """Return whether `GET /healthz` is answered with status 200 within `timeout_s`."""
    question = f"GET /healthz HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode("ascii")
    answer = await _ask(host, port, question, timeout_s)
    if isinstance(answer, Health):
        return answer
    status = answer[:_ANSWER_BYTES].split(b" ")
    return Health.HEALTHY if len(status) > 1 and status[1] == b"200" else Health.UNWELL


async def probe_redis(host: str, port: int, timeout_s: float = 2.0) -> Health:
    """Return whether a Redis or Valkey server answers PING within `timeout_s`."""
    answer = await _ask(host, port, b"PING\r\n", timeout_s)
    if isinstance(answer, Health):
        return answer
    return Health.HEALTHY if answer.startswith(b"+PONG") else Health.UNWELL
