"""The storm's numbers: S, the mean backoff, Poisson tails without loss of digits, the closed form."""

from __future__ import annotations

from math import exp, factorial

import pytest

from loadtest.errors import UsageError
from loadtest.model.storm import Cure, Storm, at_least, closed_form_s, poisson, settled_attempt
from loadtest.pacing.reconnect import Fixed, FullJitter, Never, Phoenix, SocketIOJs


def test_storm_number_of_the_story() -> None:
    storm = Storm(1e6, 20.0, 3200.0)
    assert storm.mean_backoff_s == 5.0
    assert storm.number == pytest.approx(12.5)


@pytest.mark.parametrize(
    ("policy", "mean_s", "settled"),
    [(SocketIOJs(), 5.0, 4), (Phoenix(), 5.0, 9), (Fixed(3.0), 3.0, 0), (FullJitter(1.0, 30.0), 15.0, 5)],
)
def test_mean_backoff_is_that_of_a_client_that_failed_often(policy: object, mean_s: float, settled: int) -> None:
    assert Storm(10, 1.0, 1.0, policy=policy).mean_backoff_s == pytest.approx(mean_s, rel=0.02)  # type: ignore[arg-type]
    assert settled_attempt(policy) == settled  # type: ignore[arg-type]


def test_poisson_and_its_tail() -> None:
    assert poisson(2.0, 3) == pytest.approx([exp(-2) * 2**n / factorial(n) for n in range(4)])
    assert at_least(4, 3.0) == pytest.approx(1 - sum(poisson(3.0, 3)))
    assert at_least(4, 0.49) == pytest.approx(at_least(4, 0.51), rel=0.2)
    assert at_least(4, 1e-6) == pytest.approx(1e-24 / 24, rel=1e-5)
    assert at_least(1, 0.0) == 0.0


def test_closed_form_with_one_stage_and_no_overload_is_the_retries_of_the_last() -> None:
    """S -> 0: everybody is back with the first attempt, so d falls by e each cycle: (T + B) ln 100."""
    assert closed_form_s(Storm(100, 20.0, 1e9, stages=1)) == pytest.approx(25 * 4.605, rel=0.01)


def test_closed_form_of_the_story() -> None:
    """S = 12.5, k = 4: Pr[Poisson(0.32) >= 4] = 3.4e-4 at first, so hours."""
    storm = Storm(1e6, 20.0, 3200.0)
    assert at_least(4, 4 / 12.5) == pytest.approx(3.39e-4, rel=0.01)
    assert closed_form_s(storm) == pytest.approx(5.63 * 3600, rel=0.01)
    assert closed_form_s(Storm(1e5, 20.0, 320.0)) == pytest.approx(closed_form_s(storm))


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"clients": 0}, "clients"),
        ({"capacity_per_s": -1}, "capacity_per_s"),
        ({"give_up_s": float("nan")}, "give_up_s"),
        ({"stages": 0}, "stage"),
        ({"steady_share": 1.0}, "steady share"),
        ({"cure": Cure(resumed_cost=0.0)}, "resumed"),
    ],
)
def test_impossible_figures_are_named(wrong: dict[str, object], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        Storm(**({"clients": 1.0, "give_up_s": 1.0, "capacity_per_s": 1.0} | wrong))  # type: ignore[arg-type]


def test_clients_that_never_come_back_make_no_storm() -> None:
    with pytest.raises(UsageError, match="no storm"):
        _ = Storm(10, 1.0, 1.0, policy=Never()).number
