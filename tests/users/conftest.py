"""Locust without its monkey patching, which would change the standard library for every other test of the session.

What is tested here runs in gevent's loop all the same; patched it runs in tests/e2e.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

os.environ["LOCUST_SKIP_MONKEY_PATCH"] = "1"  # here only: processes that tests start must be patched
try:
    import locust.env
    import locust.event
finally:
    del os.environ["LOCUST_SKIP_MONKEY_PATCH"]


@pytest.fixture
def environment() -> Iterator[locust.env.Environment]:
    """Return a Locust environment with events of its own and a local runner."""
    made = locust.env.Environment(events=locust.event.Events())
    made.create_local_runner()
    yield made
    made.runner.quit()


class FakeMaster:
    """Stands in for a MasterRunner: keeps what is sent, and says what workers say."""

    def __init__(self) -> None:
        self.clients: dict[str, Any] = {}
        self.sent: list[tuple[str, Any, str | None]] = []
        self.listeners: dict[str, Any] = {}

    def register_message(self, name: str, listener: Any, concurrent: bool = False) -> None:
        self.listeners[name] = listener

    def send_message(self, name: str, data: Any = None, client_id: str | None = None) -> None:
        self.sent.append((name, data, client_id))

    def sent_to(self, client_id: str, name: str) -> list[Any]:
        return [data for sent, data, to in self.sent if (sent, to) == (name, client_id)]
