"""Locust without its monkey patching, which would change the standard library for every other test of the session.

What is tested here runs in gevent's loop all the same; patched it runs in tests/e2e.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
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


from locust.runners import MasterRunner, WorkerNode  # noqa: E402

from loadtest.profile.loader import parse_profile  # noqa: E402
from loadtest.profile.model import Profile  # noqa: E402

CHAT = """
duration = "5s"
[target]
url = "{url}"
[population]
connections = {connections}
herd_size = 10
[[population.channels]]
name = "room {{n}}"
count = 2
[subscribe]
event = "enter-room"
args = ["{{channel}}"]
[publish]
event = "shout"
args = [{{ to = "{{channel}}", body = "{{marker}}" }}]
rate = "10/s"
"""


def chat(more: str = "", *, url: str = "ws://127.0.0.1:9/", connections: int = 20) -> Profile:
    """Return a small profile; `more` is TOML after it."""
    return parse_profile(CHAT.format(url=url, connections=connections) + more, "a test", Path())


class FakeMaster(MasterRunner):
    """A master without a network: keeps what is sent, knows the workers it is told of."""

    def __init__(self, *workers: str) -> None:
        self.greenlet = None
        self.server = SimpleNamespace()
        self.clients = {worker: WorkerNode(worker) for worker in workers}
        self.sent: list[tuple[str, Any, str | None]] = []
        self.listeners: dict[str, Any] = {}

    def register_message(self, name: str, listener: Any, concurrent: bool = False) -> None:
        self.listeners[name] = listener

    def send_message(self, name: str, data: Any = None, client_id: str | None = None) -> None:
        self.sent.append((name, data, client_id))

    def hear(self, name: str, data: Any, worker: str) -> None:
        """Let a worker say something."""
        self.listeners[name](environment=None, msg=SimpleNamespace(data=data, node_id=worker))

    def told(self, name: str, worker: str) -> list[Any]:
        """Return what a worker was told under `name`, since the last time."""
        told = [data for sent, data, to in self.sent if (sent, to) == (name, worker)]
        self.sent = [each for each in self.sent if each[0] != name or each[2] != worker]
        return told
