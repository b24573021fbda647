"""A context that writes down what a fault did to it, and a hook server that answers as told."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest

from loadtest.faults.fault import Control


@dataclass
class Context:
    """Stands in for the conductor."""

    control: Control | None = None
    variables: dict[str, str] = field(default_factory=dict)
    orders: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    relieved: list[str] = field(default_factory=list)
    hit: int = 10
    relays: list[Any] = field(default_factory=list)
    profile: Any = field(default_factory=lambda: SimpleNamespace(seed=1))
    outcome: dict[str, object] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    facts: dict[str, dict[str, object]] = field(default_factory=dict)

    def afflict(self, name: str, order: Mapping[str, object]) -> int:
        self.orders.append((name, dict(order)))
        return self.hit

    def relieve(self, name: str) -> Mapping[str, object]:
        self.relieved.append(name)
        return self.outcome

    def log(self, text: str) -> None:
        self.lines.append(text)

    def report(self, name: str, facts: Mapping[str, object]) -> None:
        self.facts.setdefault(name, {}).update(facts)


@pytest.fixture
def context() -> Context:
    return Context()


@dataclass
class Hook:
    """A server on 127.0.0.1: `answer` is (status, body), `silent` holds every answer back until released."""

    url: str = ""
    answer: tuple[int, bytes] = (200, b"{}")
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    silent: bool = False
    released: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def hook() -> Iterator[Hook]:
    told = Hook()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {key.lower(): value for key, value in self.headers.items()}
            told.requests.append((self.command, self.path, headers, body))
            if told.silent:
                told.released.wait(30)
                return
            self.send_response(told.answer[0])
            self.send_header("Content-Length", str(len(told.answer[1])))
            self.end_headers()
            self.wfile.write(told.answer[1])

        do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield told
    told.released.set()
    server.shutdown()
    server.server_close()
    thread.join()
