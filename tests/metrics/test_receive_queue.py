from __future__ import annotations

import pytest

from loadtest.metrics.queue_total import QueuePart, QueueTotal
from loadtest.metrics.receive_queue import ReceiveQueue
from loadtest.metrics.tally import Tally
from tests.metrics.wires import histogram


def total(*values_ms: float, sample: int = 8, error_ns: int = 0, discarded: int = 0) -> QueueTotal:
    return QueueTotal(Tally.of([histogram(*values_ms)]), sample, error_ns, discarded)


def test_herds_of_a_worker_add_up() -> None:
    queue = ReceiveQueue()
    queue.join(ReceiveQueue(histogram(1, 2), 8, 100, 1))
    queue.join(ReceiveQueue(histogram(30), 31, 300, 0))
    assert queue == ReceiveQueue(histogram(1, 2, 30), 39, 300, 1)


def test_workers_add_up_and_intervals_follow() -> None:
    one, other = total(1, 2, error_ns=100, discarded=1), total(30, sample=31, error_ns=300)
    together = QueueTotal()
    together.join(one)
    together.join(other)
    assert together == total(1, 2, 30, sample=39, error_ns=300, discarded=1)
    one.follow(QueuePart.read(ReceiveQueue(histogram(5), 6, 200, 2).to_wire()))
    assert one == total(1, 2, 5, error_ns=200, discarded=3)


def test_figures_have_their_units_and_are_null_without_a_read() -> None:
    assert total(1, 2, 40, error_ns=150, discarded=1).figures() == {
        "receive_queue_p50_ms": pytest.approx(2, rel=0.001),
        "receive_queue_p99_ms": 40.0,
        "receive_queue_max_ms": 40.0,
        "receive_queue_count": 3,
        "receive_queue_connections": 8,
        "receive_queue_error_ms": 0.00015,
        "receive_queue_discarded": 1,
    }
    nothing = QueueTotal(connections=8, error_ns=150).figures()
    assert [key for key, value in nothing.items() if value is None] == [
        "receive_queue_p50_ms", "receive_queue_p99_ms", "receive_queue_max_ms", "receive_queue_error_ms",
    ]  # fmt: skip
