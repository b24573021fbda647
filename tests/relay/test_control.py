"""Orders over the control socket, by a relay that serves them in a thread of the test."""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Iterator

import pytest

from loadtest.relay import control
from loadtest.relay.control import ControlSocket, RelayError, Remote
from loadtest.relay.relay import Relay


@pytest.fixture
def name() -> str:
    return f"loadtest-test-{secrets.token_hex(8)}"


@pytest.fixture
def relay(name: str) -> Iterator[Relay]:
    made, served = Relay([]), ControlSocket(name)
    served.sock.settimeout(0.05)
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            try:
                served.serve(made)
            except TimeoutError:
                continue

    thread = threading.Thread(target=serve)
    thread.start()
    yield made
    over.set()
    thread.join()
    served.sock.close()
    made.stop()


def test_an_order_is_carried_out_and_answered(relay: Relay, name: str) -> None:
    remote = Remote(name)
    assert remote.order({"do": "place", "name": "x", "kind": "cut", "seed": "s"}) == {"struck": 0}
    assert list(relay.conditions.present) == ["x"]
    assert remote.order({"do": "count"})["accepted"] == 0


def test_what_is_no_order_is_refused_and_the_relay_lives(relay: Relay, name: str) -> None:
    with pytest.raises(RelayError, match=r"the relay refused: .*no order: 'explode'"):
        Remote(name).order({"do": "explode"})
    for words in (b"not json\n", b"[]\n", b"\n", b""):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(f"\0{name}")
            sock.sendall(words)
    assert Remote(name).order({"do": "count"})["accepted"] == 0


def test_a_relay_that_is_gone_is_told(name: str) -> None:
    with pytest.raises(RelayError, match="does not answer"):
        Remote(name).order({"do": "count"})


def test_another_user_is_not_heard(relay: Relay, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "_user", lambda _: 1 << 20)
    with pytest.raises(RelayError, match="does not answer"):
        Remote(name).order({"do": "count"})
