"""Ask an ASGI application without a socket: one request in, status and JSON out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any


async def ask(app: Any, method: str, path: str, body: Any = None, raw: bytes | None = None) -> tuple[int, Any]:
    """Return (status, JSON answer) of one request; `path` is the decoded one, as servers hand it over."""
    content = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "scheme": "http",
        "headers": [(b"host", b"test")],
        "server": ("test", 80),
        "client": ("test", 1),
    }
    sent: list[dict[str, Any]] = []
    received = [{"type": "http.request", "body": content, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if received:
            return received.pop()
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    answer = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], json.loads(answer) if answer.startswith((b"{", b"[")) else answer


@asynccontextmanager
async def running(app: Any) -> AsyncIterator[Any]:
    """Run the application's lifespan around the block."""
    async with app.router.lifespan_context(app):
        yield app
