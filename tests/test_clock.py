from __future__ import annotations

import time

import pytest

from loadtest.clock import NS_PER_MS, NS_PER_S, NS_PER_US, FakeClock, now_ns


def test_now_is_the_monotonic_clock_of_the_host() -> None:
    before = time.monotonic_ns()
    assert before <= now_ns() <= time.monotonic_ns()


def test_units_of_time_fit_each_other() -> None:
    assert NS_PER_US * 1000 == NS_PER_MS
    assert NS_PER_MS * 1000 == NS_PER_S


def test_fake_clock_moves_only_when_told() -> None:
    clock = FakeClock(start_ns=5)
    assert clock() == clock() == 5
    assert clock.advance(0.25) == 5 + 250 * NS_PER_MS
    assert clock() == 5 + 250 * NS_PER_MS


def test_fake_clock_never_goes_back() -> None:
    clock = FakeClock()
    with pytest.raises(ValueError, match="cannot go back"):
        clock.advance(-1)
    assert clock() == NS_PER_S
