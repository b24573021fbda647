"""Ask one part whether it is healthy: one small question on a fresh connection, an answer or not within a bound.

    probe_http:  GET /healthz  -> 200          (every part that speaks HTTP)
    probe_load:  the same, and the load that the answer tells          (a gateway node)
    probe_process: the same, and the answer names this process    (a node beside its predecessor on one port)
    probe_redis: PING          -> +PONG        (the broker)

Used by the stack (waiting for parts) and by godserver (choosing nodes). A probe never raises for what the peer does;
it tells apart who is gone (UNREACHABLE) from who is too busy to answer (SILENT): in a storm every node is the latter.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from enum import Enum

_ANSWER_BYTES = 64


class Health(Enum):
    """What a probe found."""

    HEALTHY = "healthy"
    UNWELL = "answers, but not that it is healthy"
    SILENT = "accepts connections, but gives no answer in time"
    UNREACHABLE = "accepts no connection"


async def _ask(host: str, port: int, question: bytes, timeout_s: float, *, whole: bool = False) -> bytes | Health:
    """Return the first line of the answer to `question`, or all of it, or why there is none within `timeout_s`."""
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(question)
            return await (reader.read() if whole else reader.readline())
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
    answer = await _ask(host, port, _health_request(host, port), timeout_s)
    return answer if isinstance(answer, Health) else _judge(answer)


async def probe_load(host: str, port: int, timeout_s: float = 2.0) -> tuple[Health, float | None]:
    """Return what `probe_http` would, and the load that the answer tells, None where it tells none."""
    answer = await _ask(host, port, _health_request(host, port), timeout_s, whole=True)
    if isinstance(answer, Health):
        return answer, None
    try:
        load = json.loads(answer.partition(b"\r\n\r\n")[2]).get("load")
    except (ValueError, AttributeError):
        load = None
    known = isinstance(load, int | float) and not isinstance(load, bool)
    return _judge(answer), float(load) if known else None


async def probe_process(pid: int, host: str, port: int, timeout_s: float = 2.0) -> Health:
    """Return what `probe_http` would if process `pid` alone listened there; UNWELL while only others answer."""
    answer = await _ask(host, port, _health_request(host, port), timeout_s, whole=True)
    if isinstance(answer, Health):
        return answer
    try:
        answered = json.loads(answer.partition(b"\r\n\r\n")[2]).get("pid")
    except (ValueError, AttributeError):
        return Health.UNWELL
    return _judge(answer) if answered == pid else Health.UNWELL


def _health_request(host: str, port: int) -> bytes:
    return f"GET /healthz HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode("ascii")


def _judge(answer: bytes) -> Health:
    status = answer[:_ANSWER_BYTES].split(b" ")
    return Health.HEALTHY if len(status) > 1 and status[1] == b"200" else Health.UNWELL


async def probe_redis(host: str, port: int, timeout_s: float = 2.0) -> Health:
    """Return whether a Redis or Valkey server answers PING within `timeout_s`."""
    answer = await _ask(host, port, b"PING\r\n", timeout_s)
    if isinstance(answer, Health):
        return answer
    return Health.HEALTHY if answer.startswith(b"+PONG") else Health.UNWELL
