"""What all tests share.

A test of real processes gets one more try: it shares two cores with others, and a starved process is no fault of the
code. A second failure is one. The try is shown in pytest's summary (`R`), so that a test that needs it often is seen.
"""

from __future__ import annotations

import socket

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("e2e") is not None:
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture
def port() -> int:
    """Return a port that is free now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
