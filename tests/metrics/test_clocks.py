"""Offsets from exchanges: exact when both ways are alike, within the bound when they are not."""

from __future__ import annotations

import random

import pytest

from loadtest.metrics.clocks import DRIFT, ClockEstimate, Exchange

MS = 1_000_000
S = 1_000 * MS


def exchange(offset_ns: int, there_ns: int, back_ns: int, at_ns: int = 7 * S, think_ns: int = MS) -> Exchange:
    """Return what two clocks `offset_ns` apart (master - ours) would have stamped."""
    heard = at_ns + there_ns + offset_ns
    return Exchange(at_ns, heard, heard + think_ns, at_ns + there_ns + think_ns + back_ns)


@pytest.mark.parametrize(
    ("offset_ns", "there_ns", "back_ns", "seen_ns", "delay_ns"),
    [
        (0, 0, 0, 0, 0),
        (0, MS, MS, 0, 2 * MS),
        (5 * S, 2 * MS, 2 * MS, 5 * S, 4 * MS),
        (-5 * S, 2 * MS, 2 * MS, -5 * S, 4 * MS),
        (5 * S, 0, 10 * MS, 5 * S - 5 * MS, 10 * MS),  # as lopsided as can be: off by half the delay
        (5 * S, 10 * MS, 0, 5 * S + 5 * MS, 10 * MS),
        (3, 1, 0, 3, 1),  # odd nanoseconds
    ],
)
def test_an_exchange_gives_offset_and_delay(
    offset_ns: int, there_ns: int, back_ns: int, seen_ns: int, delay_ns: int
) -> None:
    found = exchange(offset_ns, there_ns, back_ns)
    assert (found.offset_ns, found.delay_ns) == (seen_ns, delay_ns)


@pytest.mark.parametrize("seed", range(20))
def test_the_truth_is_within_the_bound_however_lopsided_the_delays(seed: int) -> None:
    dice = random.Random(seed)
    ppm = dice.uniform(-DRIFT, DRIFT)
    offset_ns = dice.randrange(-(10**15), 10**15)
    estimate = ClockEstimate()
    at_ns = dice.randrange(10**15)
    for _ in range(200):
        at_ns += round(dice.expovariate(1.0) * S)
        true_ns = offset_ns + round(ppm * at_ns)
        there, back = (round(dice.paretovariate(1.1) * MS) for _ in range(2))
        estimate.add(exchange(true_ns, there, back, at_ns))
        now_ns = at_ns + there + back + MS + dice.randrange(S)
        assert abs(estimate.offset_ns - (offset_ns + round(ppm * now_ns))) <= estimate.error_ns(now_ns)


def test_the_smallest_delay_wins_whatever_the_order() -> None:
    samples = [exchange(S, 9 * MS, MS), exchange(S, MS, MS), exchange(S, 30 * MS, 0)]
    for order in (samples, samples[::-1]):
        estimate = ClockEstimate(drift=0.0)
        taken = [estimate.add(sample) for sample in order]
        assert estimate.offset_ns == S
        assert estimate.error_ns(8 * S) == MS + 1
        assert estimate.exchanges == sum(taken) + taken.count(False) == 3


def test_an_old_sample_gives_way_to_a_slower_but_fresh_one() -> None:
    estimate = ClockEstimate(drift=1e-4)
    estimate.add(exchange(S, MS, MS, at_ns=0))
    assert not estimate.add(exchange(S + 1, 2 * MS, 2 * MS, at_ns=5 * S))  # 1 ms + 0.5 ms against 2 ms
    assert estimate.add(exchange(S + 2, 2 * MS, 2 * MS, at_ns=11 * S))  # 1 ms + 1.1 ms against 2 ms
    assert estimate.offset_ns == S + 2


def test_the_error_grows_with_age() -> None:
    estimate = ClockEstimate(drift=50e-6)
    estimate.add(exchange(0, MS, MS, at_ns=0, think_ns=0))
    assert estimate.error_ns(2 * MS) == MS + 1
    assert estimate.error_ns(2 * MS + 10 * S) == MS + 1 + 500_000


def test_nothing_known_is_said() -> None:
    with pytest.raises(ValueError, match="no exchange yet"):
        ClockEstimate().error_ns(0)


@pytest.mark.parametrize("stamps", [(100, 0, 0, 50), (0, 10, 60, 20), (0, 20, 10, 100)])
def test_stamps_of_no_exchange_are_refused(stamps: tuple[int, int, int, int]) -> None:
    estimate = ClockEstimate()
    with pytest.raises(ValueError, match="cannot take"):
        estimate.add(Exchange(*stamps))
    assert estimate.exchanges == 0
