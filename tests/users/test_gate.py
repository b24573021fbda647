"""Bytes of every kind come to the gate; what passes is a message, under its sender's own name. No network."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from locust.exception import RPCError
from locust.rpc import Message
from zmq import ZMQError

from loadtest.users import gate
from loadtest.users.gate import Gate
from tests.users.conftest import FakeMaster


class Socket:
    """A socket that has received `frames`."""

    def __init__(self, *frames: list[bytes]) -> None:
        self.frames = list(frames)

    def recv_multipart(self) -> list[bytes]:
        if not self.frames:
            raise ZMQError
        return self.frames.pop(0)


class Door:
    """A gate with what it refused."""

    def __init__(self, *frames: list[bytes]) -> None:
        self.master = FakeMaster("a", "b")
        self.master.server = SimpleNamespace(socket=Socket(*frames))
        self.refused: list[tuple[str, str]] = []
        Gate(self.master, lambda node, why: self.refused.append((node, why)))

    def received(self) -> list[tuple[str, Any]]:
        """Return everything that passes, until the network breaks."""
        passed = []
        while True:
            try:
                node, message = self.master.server.recv_from_client()
            except RPCError:
                return passed
            passed.append((node, message.data))


def said(node: str, data: object, name: str = "stats") -> bytes:
    return bytes(Message(name, data, node).serialize())


GOOD = [b"a", said("a", 1)]


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([b"\xc1\xff garbage"], "are no message"),
        ([said("a", 1)[:-3]], "are no message"),
        ([b"\x93\x01\x02\x03\x04"], "are no message"),
        ([b"\x91\x01"], "are no message: TypeError"),
        ([], "are no message"),
        ([said("b", 2)], "under the name of 'b'"),
        ([b"\x93\x01\x02\xa1a"], "has no type"),
    ],
)
def test_what_is_no_message_of_the_senders_own_is_refused_and_the_next_one_is_read(parts, words) -> None:
    door = Door([b"a", *parts], GOOD)
    assert door.received() == [("a", 1)]
    ((node, why),) = door.refused
    assert node == "a"
    assert words in why


def test_an_enormous_message_is_refused_unread(monkeypatch) -> None:
    monkeypatch.setattr(gate, "MOST_BYTES", 1_000)
    door = Door([b"a", said("a", "x" * 1_000)], GOOD)
    assert door.received() == [("a", 1)]
    assert door.refused == [("a", "its message of 1,012 bytes is enormous; at most 1,000 are read")]


def test_a_message_that_locust_cannot_take_is_refused_and_named() -> None:
    door = Door()
    door.master.handle_message("a", Message("heartbeat", None, "a"))
    ((node, why),) = door.refused
    assert node == "a"
    assert why.startswith("its message 'heartbeat' cannot be handled: TypeError")


def test_the_gate_stands_before_a_network_that_was_opened_anew(monkeypatch) -> None:
    monkeypatch.setattr(FakeMaster, "reset_connection", lambda self: setattr(self, "server", fresh), raising=False)
    fresh = SimpleNamespace(socket=Socket([b"a", b"garbage"], GOOD))
    door = Door()
    door.master.reset_connection()
    assert door.received() == [("a", 1)]
    assert len(door.refused) == 1
