"""Which connection meets which weather."""

from __future__ import annotations

import pytest

from loadtest.relay.conditions import DOWN, FINE, UP, Conditions, Impairment, Weather


def test_without_impairments_the_weather_is_fine() -> None:
    assert Conditions().of(1, UP) is FINE


def test_impairments_add_up_and_the_narrowest_bandwidth_holds() -> None:
    conditions = Conditions()
    conditions.present = {
        "a": Impairment("delay", "s", delay_s=0.1),
        "b": Impairment("delay", "s", "up", delay_s=0.2),
        "c": Impairment("jitter", "s", delay_s=0.05),
        "d": Impairment("bandwidth", "s", bytes_per_s=100),
        "e": Impairment("bandwidth", "s", bytes_per_s=50),
        "f": Impairment("stall", "s", "down"),
    }
    assert conditions.of(1, UP) == Weather(pytest.approx(0.3), 0.05, 50, False)
    assert conditions.of(1, DOWN) == Weather(0.1, 0.05, 50, True)


def test_the_share_follows_from_the_seed() -> None:
    half = Impairment("cut", "seed", share=0.5)
    struck = [number for number in range(2000) if half.strikes(number)]
    assert 900 < len(struck) < 1100
    assert struck == [number for number in range(2000) if Impairment("cut", "seed", share=0.5).strikes(number)]
    assert struck != [number for number in range(2000) if Impairment("cut", "other", share=0.5).strikes(number)]
    conditions = Conditions()
    conditions.present = {"x": half}
    assert {number for number in range(2000) if conditions.is_cut(number)} == set(struck)


@pytest.mark.parametrize(
    "wrong",
    [{}, {"kind": "delay"}, {"kind": "flood", "seed": ""}, {"kind": "cut", "seed": "", "share": 0}, {"kind": "cut", "seed": "", "direction": "left"}, {"kind": "delay", "seed": "", "delay_s": "1"}],  # noqa: E501
)  # fmt: skip
def test_what_describes_no_impairment_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="no impairment"):
        Impairment.read(wrong)
