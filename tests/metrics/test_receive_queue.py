from __future__ import annotations

import pytest

from loadtest.metrics.receive_queue import ReceiveQueue
from tests.metrics.wires import histogram


def test_workers_add_up_and_intervals_follow() -> None:
    one, other = ReceiveQueue(histogram(1, 2), 8, 100, 1), ReceiveQueue(histogram(30), 31, 300, 0)
    together = ReceiveQueue()
    together.join(one)
    together.join(other)
    assert together == ReceiveQueue(histogram(1, 2, 30), 39, 300, 1)
    later = ReceiveQueue(histogram(5), 6, 200, 2)
    one.follow(later)
    assert one == ReceiveQueue(histogram(1, 2, 5), 8, 200, 3)


def test_figures_have_their_units_and_are_null_without_a_read() -> None:
    assert ReceiveQueue(histogram(1, 2, 40), 8, 150, 1).figures() == {
        "receive_queue_p50_ms": pytest.approx(2, rel=0.001),
        "receive_queue_p99_ms": 40.0,
        "receive_queue_max_ms": 40.0,
        "receive_queue_count": 3,
        "receive_queue_connections": 8,
        "receive_queue_error_ms": 0.00015,
        "receive_queue_discarded": 1,
    }
    nothing = ReceiveQueue(connections=8, error_ns=150).figures()
    assert [key for key, value in nothing.items() if value is None] == [
        "receive_queue_p50_ms", "receive_queue_p99_ms", "receive_queue_max_ms", "receive_queue_error_ms",
    ]  # fmt: skip
