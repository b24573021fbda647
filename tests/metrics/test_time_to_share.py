from __future__ import annotations

import math
import random
from typing import Any

import pytest

from loadtest.metrics import time_to_share
from loadtest.metrics.histogram import Histogram
from loadtest.metrics.time_to_share import SHARES, TimeToShare, figures
from loadtest.metrics.traces import Traces
from tests.metrics.wires import traces_wire

CLOSE = 1.001


def hist(values: list[int]) -> Histogram:
    filled = Histogram()
    filled.record_many(values)
    return filled


def add(shared: TimeToShare, message: tuple[int, int, int], expected: int, latencies: list[int], at_ns: int) -> None:
    shared.add(Traces.read(traces_wire((*message, expected, hist(latencies)))), at_ns)


def figures_of(shared: TimeToShare) -> dict[str, dict[str, float | None]]:
    return figures(shared.total.reached, shared.total.never)


def brute_force(messages: list[tuple[int, list[int]]]) -> dict[int, list[float]]:
    """TTK_m(k) of every message from the definition: the ceil(k * |E| / 100)-th smallest, undelivered = infinity."""
    return {
        share: sorted(
            ([*sorted(latencies), *[math.inf] * (expected - len(latencies))])[math.ceil(share * expected / 100) - 1]
            for expected, latencies in messages
            if expected
        )
        for share in SHARES
    }


@pytest.mark.parametrize("seed", range(30))
def test_every_figure_is_that_of_the_definition(seed: int) -> None:
    rng = random.Random(seed)
    shared, messages = TimeToShare(), []
    for number in range(rng.choice((1, 2, 99, 100, 101, 150))):
        expected = rng.choice((0, 1, 2, 3, 99, 100, 101, 120))
        loss = rng.choice((0, 0, 0.02, 0.6))
        latencies = [rng.randrange(1, 10**9) for _ in range(expected) if rng.random() >= loss]
        messages.append((expected, latencies))
        cuts = sorted(rng.choices(range(len(latencies) + 1), k=2))
        parts = [latencies[: cuts[0]], latencies[cuts[0] : cuts[1]], latencies[cuts[1] :]]
        rest = expected
        for worker, part in enumerate(parts):
            share = rest if worker == 2 else min(rest, len(part))
            rest -= share
            add(shared, (0, 1, number), share, part, 10 + worker)
    shared.settle(10)
    assert shared.total.traced == sum(1 for expected, _ in messages if expected)
    assert shared._open == {}
    told = figures_of(shared)
    for share, values in brute_force(messages).items():
        for percent in (50, 99):
            found = told[str(share)][f"p{percent}"]
            true = values[math.ceil(percent * len(values) / 100) - 1] if values else math.inf
            if math.isinf(true):
                assert found is None
            else:
                assert found is not None
                assert true <= found * 10**6 <= true * CLOSE**2


def test_a_message_is_settled_by_the_time_of_its_first_part() -> None:
    shared = TimeToShare()
    add(shared, (0, 1, 0), 1, [5], 100)
    add(shared, (0, 1, 1), 1, [5], 101)
    add(shared, (0, 1, 0), 1, [9], 130)
    assert shared.settle(99).traced == 0
    settled = shared.settle(100)
    assert (settled.traced, shared.total.traced, list(shared._open)) == (1, 1, [(0, 1, 1)])
    assert figures_of(shared)["100"]["p50"] == 9 / 10**6
    assert settled.reached[100].max_ns == 9
    assert shared.settle(200).reached[100].max_ns == 5  # what became of these alone


def test_no_message_has_no_figure() -> None:
    assert figures_of(TimeToShare()) == {str(share): {"p50": None, "p99": None} for share in SHARES}


def test_messages_beyond_the_bound_are_skipped_and_counted(monkeypatch: Any) -> None:
    monkeypatch.setattr(time_to_share, "MOST_OPEN", 2)
    shared = TimeToShare()
    for number in range(5):
        for _ in range(2):
            add(shared, (0, 1, number), 1, [5], 1)
    shared.settle(1)
    assert (shared.total.traced, shared.skipped) == (2, 6)
