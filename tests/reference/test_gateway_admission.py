"""Who may come in: the bucket, the cap and the slots by literal times; then a node that refuses and tells when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random

import pytest

from reference_gateway.gateway.admission import Admission, RetrySlots
from reference_gateway.gateway.server import Node

from .conftest import UPGRADE, FakeClient

Run = Callable[..., None]


def admitted(admission: Admission, at_s: float, clients: int) -> int:
    """Let `clients` knock at one moment; return how many may come in (and are through at once)."""
    return sum(admission.knock(at_s) is None for _ in range(clients))


def test_bucket_admits_its_burst_and_then_its_rate():
    admission = Admission(per_s=10, burst=5, concurrent=1000)
    assert admitted(admission, 100.0, 50) == 5
    assert admitted(admission, 100.05, 50) == 0
    assert [admitted(admission, 100.05 + second, 50) for second in (0.25, 0.5, 0.75)] == [2, 3, 2]
    assert admitted(admission, 200.0, 50) == 5
    assert admission.refused == 6 * 50 - 5 - 7 - 5


def test_cap_refuses_until_somebody_is_through():
    admission = Admission(per_s=1000, burst=1000, concurrent=2)
    for client in ("a", "b"):
        assert admission.knock(1.0) is None
        admission.enter(client)
    assert admission.knock(1.1) is not None
    admission.leave("a")
    admission.leave("a")
    assert admission.knock(1.2) is None
    assert len(admission) == 1


def test_refusal_without_slots_is_one_whole_answer():
    admission = Admission(per_s=1, burst=1, concurrent=9)
    assert admission.knock(0.0) is None
    assert admission.knock(0.0) == b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def test_slots_follow_each_other_at_their_rate_and_start_anew_after_a_quiet_time():
    slots = RetrySlots(per_s=10, cap_s=60, rng=Random(1))
    assert [round(slots.take(100.0), 3) for _ in range(4)] == [0.05, 0.15, 0.25, 0.35]
    assert round(slots.take(100.2), 3) == 0.25
    assert round(slots.take(500.0), 3) == 0.05


def test_slots_beyond_the_cap_are_spread_over_its_later_half():
    slots = RetrySlots(per_s=10, cap_s=2, rng=Random(1))
    waits = [slots.take(0.0) for _ in range(2000)]
    assert max(waits) <= 2.0
    late = waits[20:]
    assert min(late) < 1.05
    assert 1.45 < sum(late) / len(late) < 1.55


@pytest.mark.parametrize("crowd", [100, 5000])
def test_returning_crowd_finds_its_tokens(crowd: int):
    """All come at once; who is refused comes back at the slot told, up to 20 ms late: nobody needs many attempts."""
    rng, rate = Random(2), 500.0
    admission = Admission(rate, burst=10, concurrent=10**6, slots=RetrySlots(0.9 * rate, 600, Random(1)))
    due = sorted((10 + 0.5 * rng.random(), client) for client in range(crowd))
    attempts = [0] * crowd
    end_s = 0.0
    while due:
        now_s, client = due.pop(0)
        attempts[client] += 1
        answer = admission.knock(now_s)
        end_s = now_s
        if answer is not None:
            wait_s = float(answer.partition(b"Retry-After: ")[2].partition(b"\r")[0])
            due.append((now_s + wait_s + 0.02 * rng.random(), client))
            due.sort()
    assert max(attempts) <= 4
    assert sum(attempts) <= 2.2 * crowd
    assert end_s - 10 < 1.0 + crowd / (0.85 * rate)


def test_node_refuses_over_its_rate_and_still_answers_health(run_node: Run) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        client_of(node).join()
        late, check = client_of(node), client_of(node)
        late.send(UPGRADE)
        answer = late.took()
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert 0 < float(answer.partition(b"Retry-After: ")[2].partition(b"\r")[0]) <= 600
        assert late.transport.closed
        check.send(b"GET /healthz HTTP/1.1\r\n\r\n")
        assert check.took().startswith(b"HTTP/1.1 200 ")
        assert node.measures.rejected["admission"] == 1

    run_node(scenario, admit_per_s=0.01, admit_burst=1, retry_slots=True)


def test_handshake_counts_until_joined_or_gone(run_node: Run) -> None:
    async def scenario(node: Node, client_of: type[FakeClient]) -> None:
        assert node.admission is not None
        one, two, refused = client_of(node), client_of(node), client_of(node)
        one.upgrade()
        two.upgrade()
        assert len(node.admission) == 2
        refused.send(UPGRADE)
        assert refused.took().startswith(b"HTTP/1.1 503 ")
        one.send_text("40")
        assert len(node.admission) == 1
        two.transport.close()
        await asyncio.sleep(0)
        assert len(node.admission) == 0
        client_of(node).join()

    run_node(scenario, admit_per_s=1000, admit_concurrent=2)
