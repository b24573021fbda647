"""What tests need of the machine: both ways to do the hottest steps (`quick`), and packets that are stamped."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtest.herd import quick, sockets


@pytest.fixture(params=["compiled", "interpreted"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have herds use one way; the compiled one is there wherever a C compiler is."""
    if request.param == "compiled" and quick.COMPILED is None:
        pytest.skip("installed without a C compiler")
    monkeypatch.setenv(quick.VARIABLE, str(int(request.param == "compiled")))
    return str(request.param)


@pytest.fixture
def other_congestion() -> bytes:
    """Return a congestion control of this machine that is not its default."""
    folder = Path("/proc/sys/net/ipv4")
    default = (folder / "tcp_congestion_control").read_text().strip()
    others = set((folder / "tcp_allowed_congestion_control").read_text().split()) - {default}
    if not others:
        pytest.skip("one congestion control, and no other")
    return min(others).encode()


@pytest.fixture
def stamping() -> Iterator[None]:
    """Have the kernel stamp what arrives, for as long as the test takes: it begins a moment after the first asks."""
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
