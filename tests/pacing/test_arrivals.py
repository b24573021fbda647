from __future__ import annotations

import math
import tracemalloc
from itertools import islice, pairwise
from random import Random
from statistics import fmean, pstdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.pacing.arrivals import (
    Arrivals,
    Burst,
    Constant,
    Poisson,
    arrival_times,
    arrivals,
    longest_silence_s,
    poisson_times,
)


@pytest.mark.parametrize(
    ("elapsed_s", "done", "due"),
    [(-0.1, 0, 0), (0.0, 0, 1), (0.09, 0, 1), (0.1, 0, 2), (0.1, 2, 0), (1.0, 2, 9), (1.0, 100, 0), (3600.0, 0, 36001)],
)
def test_constant_counts_what_is_due_and_late(elapsed_s: float, done: int, due: int) -> None:
    assert Constant(10).due(elapsed_s, done) == due


def test_constant_spaces_evenly() -> None:
    schedule = Constant(4)
    assert [schedule.time_of(number) for number in range(4)] == [0.0, 0.25, 0.5, 0.75]
    assert schedule.next_s(4) == 1.0


@pytest.mark.parametrize(
    ("rate", "every_s", "times"),
    [(3, 1.0, [0, 0, 0, 1, 1, 1, 2]), (1.5, 1.0, [0, 0, 1, 2, 2, 3]), (0.5, 1.0, [0, 2, 4]), (2, 2.0, [0, 0, 0, 0, 2])],
)
def test_burst_puts_a_period_at_its_start_and_keeps_the_mean(rate: float, every_s: float, times: list[float]) -> None:
    schedule = Burst(rate, every_s)
    assert [schedule.time_of(number) for number in range(len(times))] == times


def test_burst_is_due_at_once() -> None:
    schedule = Burst(100, 10.0)
    assert [schedule.due(elapsed_s, 0) for elapsed_s in (-1, 0.0, 9.99, 10.0)] == [0, 1000, 1000, 2000]
    assert schedule.due(10.0, 1500) == 500
    assert schedule.next_s(1000) == 10.0


def test_poisson_has_exponential_gaps() -> None:
    times = list(islice(poisson_times(50, Random(7)), 20_000))
    gaps = [after - before for before, after in pairwise([0.0, *times])]
    assert all(gap > 0 for gap in gaps)
    # Mean and standard deviation are both 1 / rate; 20,000 draws put the mean within 0.7 % (one sigma).
    assert fmean(gaps) == pytest.approx(1 / 50, rel=0.03)
    assert pstdev(gaps) == pytest.approx(1 / 50, rel=0.03)


def test_poisson_repeats_with_its_seed_and_differs_with_another() -> None:
    one, same, other = (list(islice(poisson_times(5, Random(seed)), 5)) for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_poisson_answers_alike_however_often_it_is_asked() -> None:
    often, once = Poisson(100, Random(3)), Poisson(100, Random(3))
    done = 0
    for tick in range(101):
        done += often.due(tick / 100, done)
    assert done == once.due(1.0, 0)
    assert often.next_s(done) == once.time_of(done) > 1.0


def test_poisson_forgets_what_is_done_and_says_so() -> None:
    schedule = Poisson(1000, Random(3))
    done = schedule.due(10.0, 0)
    schedule.due(10.0, done)
    assert len(schedule._drawn) < 10
    with pytest.raises(LookupError, match="done long ago"):
        schedule.time_of(0)


@settings(derandomize=True, deadline=None)
@given(
    st.sampled_from(["constant", "poisson", "burst"]),
    st.floats(0.05, 300),
    st.floats(0.1, 20),
    st.lists(st.floats(0, 3), min_size=1, max_size=20),
)
def test_due_and_time_of_tell_the_same(kind: str, rate: float, every_s: float, steps: list[float]) -> None:
    schedule: Arrivals = arrivals(kind, rate, Random(1), every_s)
    elapsed_s, done = 0.0, 0
    for step in steps:
        elapsed_s += step
        due = schedule.due(elapsed_s, done)
        assert due >= 0
        times = [schedule.time_of(done + number) for number in range(due)]
        assert times == sorted(times)
        assert all(time_s <= elapsed_s for time_s in times)
        done += due
        assert schedule.next_s(done) > elapsed_s


def test_long_run_keeps_the_rate_exactly() -> None:
    day_s = 86_400.0
    assert Constant(100).due(day_s, 0) == 8_640_001
    assert Burst(100, 0.1).due(day_s - 1e-6, 0) == 8_640_000


@pytest.mark.parametrize("rate", [0, -1, float("inf"), float("nan")])
def test_rate_without_meaning_is_refused(rate: float) -> None:
    for kind in ("constant", "poisson", "burst"):
        with pytest.raises(ValueError, match="above 0"):
            arrivals(kind, rate, Random(1)).due(1.0, 0)


def test_unknown_schedule_is_refused() -> None:
    with pytest.raises(ValueError, match="constant, poisson and burst"):
        arrivals("pareto", 1, Random(1))


@pytest.mark.parametrize("kind", ["constant", "poisson", "burst"])
def test_times_are_those_of_the_schedule_and_are_not_kept(kind: str) -> None:
    schedule = arrivals(kind, 2.5, Random(3), 2.0)
    times = arrival_times(kind, 2.5, Random(3), 2.0)
    assert [next(times) for _ in range(500)] == [schedule.time_of(number) for number in range(500)]
    tracemalloc.start()
    try:
        for _ in range(50_000):
            next(times)
        assert tracemalloc.get_traced_memory()[0] < 10_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("kind", "rate", "every_s", "silence_s"),
    [
        ("constant", 4, 1, 0.25),
        ("constant", 0.3, 1, 1 / 0.3),
        ("burst", 100, 2, 2),
        ("burst", 0.3, 2, 4),
        ("poisson", 2, 1, math.log(1_000) / 2),
    ],
)
def test_no_gap_of_a_schedule_is_longer_than_its_longest_silence(
    kind: str, rate: float, every_s: float, silence_s: float
) -> None:
    assert longest_silence_s(kind, rate, every_s) == pytest.approx(silence_s)
    times = list(islice(arrival_times(kind, rate, Random(5), every_s), 5_000))
    longer = sum(later - earlier > silence_s + 1e-9 for earlier, later in pairwise(times))
    assert longer <= (15 if kind == "poisson" else 0)
