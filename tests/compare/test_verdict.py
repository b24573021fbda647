from __future__ import annotations

import math

import pytest

from loadtest.compare.interval import Estimate, ratio
from loadtest.compare.sample import Pair, spread
from loadtest.compare.verdict import Decision, decide

FOUR = (1.0, 1.01, 1.02, 1.03)


def judge(pair: Pair, p: float = 0.01, *, higher: bool = False, clock_error: float = 0.0) -> Decision:
    return decide(
        pair,
        p,
        ratio(pair),
        spread(pair),
        higher_is_better=higher,
        smallest_effect=0.03,
        clock_error=clock_error,
    )


def times(factor: float) -> tuple[float, ...]:
    return tuple(value * factor for value in FOUR)


@pytest.mark.parametrize(
    ("factor", "higher", "verdict"), [(1.2, False, "worse"), (0.8, False, "better"), (1.2, True, "better")]
)
def test_direction_decides(factor: float, higher: bool, verdict: str) -> None:
    assert judge(Pair(FOUR, times(factor)), higher=higher).verdict == verdict


def test_what_is_not_significant_or_too_small_is_no_difference() -> None:
    assert judge(Pair(FOUR, times(1.2)), p=0.06).verdict == "no difference"
    assert judge(Pair(FOUR, times(1.02))).verdict == "no difference"


def test_too_few_runs_is_its_own_verdict() -> None:
    decision = judge(Pair(FOUR[:3], times(9)[:3]))
    assert (decision.verdict, decision.too_few) == ("cannot tell", True)
    assert "3 and 3, needed are 4" in decision.reason


def test_difference_within_the_clocks_error_is_not_ranked() -> None:
    decision = judge(Pair(FOUR, times(1.2)), clock_error=0.5)
    assert decision.verdict == "cannot tell"
    assert "0.5 ms" in decision.reason


def test_noise_that_hides_a_doubling_is_no_difference_found_but_none_told() -> None:
    wild = Pair((1.0, 4.0, 0.3, 9.0), (5.0, 0.2, 2.0, 7.0))
    decision = judge(wild, p=0.9)
    assert decision.verdict == "cannot tell"
    assert "runs of each would show 50 %" in decision.reason


def test_from_nothing_to_something_is_a_difference_of_any_size() -> None:
    assert judge(Pair((0.0,) * 4, (0.001,) * 4)).verdict == "worse"


def test_never_recovered_is_worse_than_any_time() -> None:
    assert judge(Pair(FOUR, (math.inf,) * 4)).verdict == "worse"
    assert judge(Pair((math.inf,) * 4, FOUR)).verdict == "better"


def test_same_in_every_run_is_no_difference() -> None:
    assert judge(Pair((0.0,) * 4, (0.0,) * 4), p=1.0).verdict == "no difference"
    assert judge(Pair((math.inf,) * 4, (math.inf,) * 4), p=1.0).verdict == "no difference"


def test_a_metric_that_one_version_lacks_cannot_be_told() -> None:
    assert "no run of one version has it" in judge(Pair(FOUR, (None, None))).reason


def test_estimate_without_limits_is_not_called_wide() -> None:
    assert decide(
        Pair(FOUR, FOUR[:1] * 4), 1.0, Estimate(1.0), None, higher_is_better=False, smallest_effect=0.03
    ) == Decision("no difference")
