from __future__ import annotations

import pytest

from loadtest.pacing.ramp import Ramp


def test_ramp_is_linear_and_ends() -> None:
    ramp = Ramp(connections=100, rate_per_s=50)
    assert ramp.duration_s == 2.0
    assert [ramp.time_of(index) for index in (0, 1, 99)] == [0.0, 0.02, 1.98]
    assert [ramp.due(elapsed_s, 0) for elapsed_s in (-1.0, 0.0, 1.0, 1.98, 2.0, 60.0)] == [0, 1, 51, 100, 100, 100]
    assert ramp.due(60.0, 100) == 0


def test_late_connects_stay_due() -> None:
    assert Ramp(connections=1000, rate_per_s=1000).due(0.5, 20) == 481


@pytest.mark.parametrize("rate", [0.3, 7, 333, 1000, 33333])
def test_due_and_time_of_tell_the_same(rate: float) -> None:
    ramp = Ramp(connections=500, rate_per_s=rate)
    for index in range(500):
        assert ramp.due(ramp.time_of(index), 0) == index + 1


def test_ramp_of_nobody_is_never_due() -> None:
    assert Ramp(connections=0, rate_per_s=1).due(10.0, 0) == 0


@pytest.mark.parametrize(("connections", "rate"), [(1, 0), (1, -1), (-1, 1), (1, float("inf"))])
def test_ramp_without_meaning_is_refused(connections: int, rate: float) -> None:
    with pytest.raises(ValueError, match="a ramp needs"):
        Ramp(connections, rate)
