"""The similarity law there and back, and planning as its inverse."""

from __future__ import annotations

import pytest

from loadtest.errors import UsageError
from loadtest.model.planning import capacity_for, recovery_by_number
from loadtest.model.scaling import prediction_facts, ratios, scale_facts, shrink
from loadtest.model.simulation import predict
from loadtest.model.storm import Cure, Storm
from loadtest.pacing.reconnect import Fixed

REAL = Storm(1e6, 20.0, 6000.0, steady_share=0.3, ping_cost=0.01)
EVENT = {
    "name": "deploy",
    "recovery": {
        "t_conn_s": {"50": 10.0, "99": 40.0},
        "t_sub_s": {"50": 11.0, "99": 48.0, "99.9": None},
        "t_svc_s": None,
        "t_rec_s": 50.0,
        "outage_s_mean": 12.0,
    },
}


def test_small_system_has_the_numbers_of_the_large() -> None:
    small = shrink(REAL, 10_000, 60.0)
    assert small.number == pytest.approx(REAL.number)
    assert small.capacity_per_s == pytest.approx(3600.0)
    assert small.mean_backoff_s / small.give_up_s == pytest.approx(0.25)
    assert (small.stages, small.steady_share, small.ping_cost) == (4, 0.3, 0.01)
    assert small.ping_interval_s == pytest.approx(25 / 60)
    told, small_told = predict(REAL), predict(small)
    for percent, when_s in told.recovered_s.items():
        assert (small_told.recovered_s[percent] or 0) * 60 == pytest.approx(when_s)


def test_cures_are_scaled_too() -> None:
    cure = Cure(
        in_flight=64_000, refusal_cost=0.05, retry_after_s=600, admit_per_s=2000, first_spread_s=300, drain_per_s=1000
    )
    small = shrink(Storm(1e6, 20.0, 3200.0, cure=cure), 10_000, 60.0).cure
    assert small == Cure(
        in_flight=640, refusal_cost=0.05, retry_after_s=10, admit_per_s=1200, first_spread_s=5, drain_per_s=600
    )


def test_run_is_told_in_the_time_of_the_real_system() -> None:
    facts = scale_facts(REAL, 10_000, 60.0, [EVENT])
    assert facts["storm_number"] == pytest.approx(REAL.number)
    assert facts["real"]["clients"] == 1e6
    assert facts["small"]["give_up_s"] == pytest.approx(20 / 60)
    (event,) = facts["events"]
    assert event["t_sub_s"] == {"50": 660.0, "99": 2880.0, "99.9": None}
    assert (event["t_svc_s"], event["t_rec_s"], event["outage_s_mean"]) == (None, 3000.0, 720.0)


def test_prediction_stands_beside_the_measurement() -> None:
    prediction = prediction_facts(REAL, predict(REAL))
    assert len(prediction["curve"]["t_s"]) == len(prediction["curve"]["subscribed"]) <= 120
    found = ratios(scale_facts(REAL, 10_000, 60.0, [EVENT]), prediction)
    assert found["deploy"]["99"] == pytest.approx(2880 / prediction["t_sub_s"]["99"])
    assert found["deploy"]["99.9"] is None


def test_capacity_for_a_time_is_just_enough() -> None:
    plan = capacity_for(REAL, 600.0)
    assert plan.capacity_per_s > 1e6 / 600
    for factor, enough in ((1.0, True), (0.97, False)):
        storm = Storm(1e6, 20.0, plan.capacity_per_s * factor, steady_share=0.3, ping_cost=0.01)
        assert (predict(storm, 600.0, "99").recovered_s["99"] is not None) is enough
    assert plan.storm_number == pytest.approx(1e6 / (plan.capacity_per_s * 25))


def test_no_capacity_beats_the_waits() -> None:
    with pytest.raises(UsageError, match="wait longer"):
        capacity_for(Storm(1000, 20.0, 1.0, Fixed(60.0)), 30.0)


def test_curve_over_storm_numbers_holds_each_systems_own_prediction() -> None:
    (low, short_s), (high, long_s) = recovery_by_number(REAL, (2.0, REAL.number))
    assert (low, high) == (2.0, REAL.number)
    assert long_s == pytest.approx(predict(REAL).recovered_s["99"])
    assert (short_s or 0.0) < (long_s or 0.0)
