from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.clock import NS_PER_MS, NS_PER_S
from loadtest.metrics.recovery import HORIZON_MS, RecoveryCurve

T0 = 500 * NS_PER_S


def at(seconds: float) -> int:
    return T0 + round(seconds * NS_PER_S)


def drop(curve: RecoveryCurve, seconds: float, n: int = 1) -> None:
    curve.connected(at(seconds), -n)
    curve.acknowledged(at(seconds), -n)
    curve.subscribed(at(seconds), -n)
    curve.primary_drop(at(seconds), n)


def back(curve: RecoveryCurve, seconds: float, n: int = 1) -> None:
    curve.connected(at(seconds), n)
    curve.acknowledged(at(seconds) + NS_PER_S // 2, n)
    curve.subscribed(at(seconds) + NS_PER_S, n)


@pytest.fixture
def storm() -> RecoveryCurve:
    """Ten clients: all dropped at 1 s; five connected at 3 s, four at 5 s, one at 9 s.

    Their subscriptions are acknowledged half a second later, a message reaches them another half later.
    """
    curve = RecoveryCurve(T0, 10)
    drop(curve, 1, 10)
    back(curve, 3, 5)
    back(curve, 5, 4)
    back(curve, 9, 1)
    return curve


def test_times_are_the_first_return_to_exact_counts(storm: RecoveryCurve) -> None:
    percents = (1, 50, 51, 90, 90.001, 99, 99.9, 100)
    assert [storm.t_conn_s(p) for p in percents] == [3.0, 3.0, 5.0, 5.0, 9.0, 9.0, 9.0, 9.0]
    assert [storm.t_ack_s(p) for p in percents] == [3.5, 3.5, 5.5, 5.5, 9.5, 9.5, 9.5, 9.5]
    assert [storm.t_sub_s(p) for p in percents] == [4.0, 4.0, 6.0, 6.0, 10.0, 10.0, 10.0, 10.0]


def test_share_is_a_step_curve_from_one(storm: RecoveryCurve) -> None:
    assert storm.share("connected") == ([0.0, 1.0, 3.0, 5.0, 9.0], [1.0, 0.0, 0.5, 0.9, 1.0])
    assert storm.share("subscribed") == ([0.0, 1.0, 4.0, 6.0, 10.0], [1.0, 0.0, 0.5, 0.9, 1.0])


@pytest.mark.parametrize(
    ("seconds", "acknowledged", "subscribed"),
    [(-1, 10, 10), (0.9, 10, 10), (1, 0, 0), (3.5, 5, 0), (3.9999, 5, 0), (4, 5, 5), (9.5, 10, 9), (99, 10, 10)],
)
def test_who_is_back_at_a_time_is_what_happened_until_then(
    storm: RecoveryCurve, seconds: float, acknowledged: int, subscribed: int
) -> None:
    assert storm.at("acknowledged", at(seconds)) == acknowledged
    assert storm.at("subscribed", at(seconds)) == subscribed


def test_outage_is_the_integral_of_the_missing_share(storm: RecoveryCurve) -> None:
    # 1 * 3 s + 0.5 * 2 s + 0.1 * 4 s
    assert storm.outage_s_mean(at(20)) == pytest.approx(4.4)
    assert storm.outage_s_mean(at(5)) == pytest.approx(3.5)
    assert storm.outage_s_mean(at(0)) == 0.0
    assert storm.outage_s_mean(at(-1)) == 0.0


def test_a_client_that_never_returns_makes_its_percentile_infinite() -> None:
    curve = RecoveryCurve(T0, 1000)
    drop(curve, 0, 1000)
    back(curve, 2, 999)
    assert [curve.t_sub_s(p) for p in (50, 99, 99.9, 100)] == [3.0, 3.0, 3.0, None]


def test_a_percentile_that_never_fell_is_zero() -> None:
    curve = RecoveryCurve(T0, 10)
    drop(curve, 2, 1)
    assert [curve.t_conn_s(p) for p in (50, 90, 99)] == [0.0, 0.0, None]


def test_a_rolling_deploy_counts_until_the_last_primary_drop_is_back() -> None:
    curve = RecoveryCurve(T0, 4)
    for second in (1, 11, 21, 31):  # one client each: back after a second, long before the next goes
        drop(curve, second)
        back(curve, second + 1)
    assert curve.t_conn_s(75) == 0.0
    assert curve.t_conn_s(100) == 32.0
    assert curve.t_sub_s(100) == 33.0


def test_a_secondary_drop_does_not_move_the_first_return(storm: RecoveryCurve) -> None:
    storm.connected(at(12), -10)
    storm.subscribed(at(12), -10)
    storm.secondary_drop(at(12), 9)
    storm.secondary_drop(at(12))
    assert storm.t_sub_s(99) == 10.0
    assert storm.secondary_drops == 10
    assert storm.dropped == 10
    assert storm.subscribed_now == 0
    assert storm.outage_s_mean(at(14)) == pytest.approx(6.4)


def test_a_primary_drop_during_a_storm_that_keeps_the_share_below_counts() -> None:
    curve = RecoveryCurve(T0, 2)
    drop(curve, 1)
    drop(curve, 5)
    back(curve, 2)  # 100 % is not reached: the second client is not yet back
    back(curve, 8)
    assert (curve.t_conn_s(100), curve.t_conn_s(50)) == (8.0, 0.0)


def test_a_fall_without_a_primary_mark_still_counts() -> None:
    curve = RecoveryCurve(T0, 2)
    curve.subscribed(at(1), -2)
    curve.subscribed(at(4), 2)
    assert curve.t_sub_s(99) == 4.0


def test_times_are_rounded_up_and_coarser_later() -> None:
    curve = RecoveryCurve(T0, 3)
    drop(curve, 0.0001, 3)
    curve.connected(at(0.0015), 1)
    curve.connected(at(100.0011), 1)
    curve.connected(at(1000.0011), 1)
    assert [curve.t_conn_s(p) for p in (33, 66, 100)] == [0.002, 100.01, 1000.1]
    assert curve.share("connected")[0] == [0.0, 0.001, 0.002, 100.01, 1000.1]


def test_what_is_before_t0_counts_at_t0_and_after_the_horizon_at_the_horizon() -> None:
    curve = RecoveryCurve(T0, 1)
    drop(curve, -3)
    curve.connected(at(HORIZON_MS), 1)
    assert curve.share("connected") == ([0.0, 0.0, HORIZON_MS / 1000], [1.0, 0.0, 1.0])


def test_no_population_is_no_data() -> None:
    curve = RecoveryCurve(T0)
    assert curve.t_sub_s(50) is None
    assert curve.amplification is None
    assert curve.outage_s_mean(at(9)) is None
    assert curve.share("connected") == ([], [])


def test_peak_attempts_slide_by_a_tenth_of_a_second() -> None:
    curve = RecoveryCurve(T0, 20)
    for seconds, n in ((0.05, 4), (0.95, 5), (1.02, 6), (1.96, 1), (9.9, 3), (30.0, 8)):
        curve.attempt(at(seconds), n)
    # 0.9 .. 1.8: 5 + 6; 1.0 .. 1.9: 6 + 1; 0.0 .. 0.9: 4 + 5
    assert curve.peak_attempts(1) == 11
    assert curve.peak_attempts(10) == 19
    assert curve.attempts == 27
    assert curve.amplification == 1.35
    assert RecoveryCurve(T0, 1).peak_attempts(1) == 0


def test_as_recovery_has_the_keys_of_the_schema(storm: RecoveryCurve) -> None:
    storm.attempt(at(2), 30)
    assert storm.as_recovery(at(20), t_svc_s=3.0, t_rec_s=10.0, lost=7) == {
        "t_conn_s": {"50": 3.0, "90": 5.0, "99": 9.0, "99.9": 9.0, "100": 9.0},
        "t_ack_s": {"50": 3.5, "90": 5.5, "99": 9.5, "99.9": 9.5, "100": 9.5},
        "t_sub_s": {"50": 4.0, "90": 6.0, "99": 10.0, "99.9": 10.0, "100": 10.0},
        "t_svc_s": 3.0,
        "t_rec_s": 10.0,
        "attempts": 30,
        "amplification": 3.0,
        "peak_attempts_1s": 30,
        "peak_attempts_10s": 30,
        "secondary_drops": 0,
        "outage_s_mean": pytest.approx(4.4),
        "lost": 7,
        "blast_radius": 1.0,
    }


def test_curve_shares_one_time_axis(storm: RecoveryCurve) -> None:
    assert storm.as_curve() == {
        "population": 10,
        "t_s": [0.0, 1.0, 3.0, 3.5, 4.0, 5.0, 5.5, 6.0, 9.0, 9.5, 10.0],
        "connected": [1.0, 0.0, 0.5, 0.5, 0.5, 0.9, 0.9, 0.9, 1.0, 1.0, 1.0],
        "acknowledged": [1.0, 0.0, 0.0, 0.5, 0.5, 0.5, 0.9, 0.9, 0.9, 1.0, 1.0],
        "subscribed": [1.0, 0.0, 0.0, 0.0, 0.5, 0.5, 0.5, 0.9, 0.9, 0.9, 1.0],
    }


def test_a_thinned_curve_keeps_its_dip_and_its_end() -> None:
    curve = RecoveryCurve(T0, 1000)
    for ms in range(1, 20_000):
        curve.subscribed(T0 + ms * NS_PER_MS, -1 if ms % 2 else 1)
    curve.subscribed(T0 + 7_777 * NS_PER_MS, -900)
    curve.subscribed(T0 + 7_778 * NS_PER_MS, 900)
    thin = curve.as_curve(max_points=200)
    assert len(thin["t_s"]) <= 201
    assert thin["t_s"][0] == 0.0
    assert thin["t_s"][-1] == 19.999
    assert thin["t_s"] == sorted(thin["t_s"])
    assert min(thin["subscribed"]) == 0.099


def test_take_ships_each_increment_once() -> None:
    curve = RecoveryCurve(T0, 2)
    drop(curve, 1, 2)
    assert curve.pending
    assert curve.take() == {
        "population": 2, "secondary": 0, "connected": [1000, -2], "acknowledged": [1000, -2],
        "subscribed": [1000, -2], "primary": [1000, 2], "attempts": [],
    }  # fmt: skip
    assert not curve.pending
    curve.attempt(at(1.55))
    assert curve.take() == {
        "population": 0, "secondary": 0, "connected": [], "acknowledged": [], "subscribed": [], "primary": [],
        "attempts": [15, 1],
    }  # fmt: skip
    assert (curve.population, curve.dropped, curve.attempts) == (2, 2, 1)


steps = st.lists(
    st.tuples(
        st.sampled_from(["drop", "back", "secondary", "attempt"]),
        st.floats(min_value=0, max_value=2_000),
        st.integers(min_value=0, max_value=3),
    ),
    max_size=40,
)


def play(curve: RecoveryCurve, kind: str, seconds: float) -> None:
    if kind == "drop":
        drop(curve, seconds)
    elif kind == "back":
        back(curve, seconds)
    elif kind == "secondary":
        curve.secondary_drop(at(seconds))
    else:
        curve.attempt(at(seconds))


def reading(curve: RecoveryCurve) -> dict[str, Any]:
    figures = curve.as_recovery(at(3_000), t_svc_s=None, t_rec_s=None, lost=0)
    return figures | {"curve": curve.as_curve(), "now": _now(curve)}


def _now(curve: RecoveryCurve) -> tuple[int, ...]:
    return curve.connected_now, curve.acknowledged_now, curve.subscribed_now, curve.dropped


@given(steps, st.randoms(use_true_random=False))
def test_merged_workers_equal_the_whole_in_any_order(steps: list[tuple[str, float, int]], rng: Any) -> None:
    whole = RecoveryCurve(T0, 40)
    workers = [RecoveryCurve(T0, 10) for _ in range(4)]
    wires = []
    for kind, seconds, worker in steps:
        play(whole, kind, seconds)
        play(workers[worker], kind, seconds)
        if rng.random() < 0.3:
            wires.append(workers[worker].take())
    wires += [worker.take() for worker in workers]
    rng.shuffle(wires)
    master = RecoveryCurve(T0)
    for wire in wires:
        master.merge_wire(json.loads(json.dumps(wire)))
    assert reading(master) == reading(whole)


GOOD = {
    "population": 2, "secondary": 0, "connected": [5, -1], "acknowledged": [5, -1], "subscribed": [], "primary": [5, 1],
    "attempts": [0, 1],
}  # fmt: skip


@pytest.mark.parametrize(
    ("wire", "complaint"),
    [
        (7, "an object, not int"),
        ({}, "population must be an integer, not NoneType"),
        (GOOD | {"population": -1}, "population must be in"),
        (GOOD | {"secondary": 1.5}, "secondary must be an integer"),
        (GOOD | {"connected": [5]}, "'connected' must be a list"),
        (GOOD | {"connected": "ab"}, "'connected' must be a list"),
        ({key: GOOD[key] for key in GOOD if key != "acknowledged"}, "'acknowledged' must be a list"),
        (GOOD | {"acknowledged": [5]}, "'acknowledged' must be a list"),
        (GOOD | {"acknowledged": [5, 0.5]}, "acknowledged must be an integer, not float"),
        (GOOD | {"acknowledged": [-5, 1]}, "acknowledged time must be in"),
        (GOOD | {"subscribed": [-5, 1]}, "subscribed time must be in"),
        (GOOD | {"subscribed": [HORIZON_MS + 1, 1]}, "subscribed time must be in"),
        (GOOD | {"primary": [5, -1]}, "primary must be in"),
        (GOOD | {"attempts": [5, True]}, "attempts must be an integer, not bool"),
        (GOOD | {"attempts": [5, 1] * 400_001}, "at most 400,000 pairs"),
    ],
)
def test_wire_that_is_no_curve_is_refused_and_adds_nothing(wire: object, complaint: str) -> None:
    curve = RecoveryCurve(T0)
    with pytest.raises(ValueError, match=complaint):
        curve.merge_wire(wire)
    assert curve.population == 0
    curve.merge_wire(GOOD)
    assert (curve.population, curve.connected_now, curve.dropped) == (2, 1, 1)
