from __future__ import annotations

import pytest

from loadtest.pacing.phases import Phase, Timeline

LINE = Timeline(ramp_timeout_s=60, warmup_s=2, hold_s=10, drain_s=6)


@pytest.mark.parametrize(
    ("elapsed_s", "steady_s", "phase"),
    [
        (0, None, "ramp"),
        (100, None, "ramp"),
        (4.9, 5.0, "ramp"),
        (5.0, 5.0, "warmup"),
        (6.9, 5.0, "warmup"),
        (7.0, 5.0, "hold"),
        (16.9, 5.0, "hold"),
        (17.0, 5.0, "drain"),
        (22.9, 5.0, "drain"),
        (23.0, 5.0, "done"),
    ],
)
def test_phase_follows_from_elapsed_time_and_steadiness(elapsed_s: float, steady_s: float | None, phase: str) -> None:
    assert LINE.phase(elapsed_s, steady_s) == phase


def test_each_phase_begins_where_the_one_before_ends() -> None:
    assert [LINE.begins_s(phase, 5.0) for phase in Phase] == [0.0, 5.0, 7.0, 17.0, 23.0]
    assert [LINE.ends_s(phase, 5.0) for phase in Phase] == [5.0, 7.0, 17.0, 23.0, float("inf")]


def test_phase_without_length_is_skipped() -> None:
    assert Timeline(60, 0, 10, 0).phase(5.0, 5.0) is Phase.HOLD
    assert Timeline(60, 0, 10, 0).phase(15.0, 5.0) is Phase.DONE


def test_ramp_gives_up_at_its_limit() -> None:
    assert [LINE.ramp_is_over(elapsed_s) for elapsed_s in (59.9, 60.0)] == [False, True]


@pytest.mark.parametrize(
    ("elapsed_s", "steady_s", "progress"),
    [(0, None, 0.0), (30, None, 0.5), (90, None, 1.0), (6, 5.0, 0.5), (12, 5.0, 0.5), (23, 5.0, 1.0), (2.5, 5.0, 0.5)],
)
def test_progress_is_that_of_the_present_phase(elapsed_s: float, steady_s: float | None, progress: float) -> None:
    assert LINE.progress(elapsed_s, steady_s) == progress
