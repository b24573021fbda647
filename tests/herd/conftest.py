"""What tests of the receive queue need of the machine: it stamps packets while anybody asks for it, and begins late."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator

import pytest

from loadtest.herd import sockets


@pytest.fixture
def stamping() -> Iterator[None]:
    """Have the kernel stamp what arrives, for as long as the test takes."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as asking:
        assert sockets.stamp_arrivals(asking.fileno())
        peer, _ = server.accept()
        with peer:
            for _ in range(1_000):
                peer.sendall(b"x")
                select.select([asking], [], [])
                if sockets.read_stamped(asking.fileno(), 1)[1] is not None:
                    break
            else:
                raise AssertionError("the kernel stamps nothing")
            yield
