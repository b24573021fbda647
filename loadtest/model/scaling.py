"""From a real system to the small one that behaves alike, and back: the similarity law.

    real storm --connections, time--> small storm      S, k, B/T, u, phi are equal, so T_rec / T is
    time of the small run * time scale = time of the real system

Law: with n connections for N clients and time running `time` as fast, every duration is divided by `time`, and every
rate of clients is multiplied by n / N * time. What is scaled is told as such; nothing else of the real system is
claimed: a network, kernel limits and databases do not scale.

Source: METRICS, "Storm model".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from loadtest.model.simulation import PERCENTS, Prediction
from loadtest.model.storm import Storm, closed_form_s
from loadtest.pacing.reconnect import Quickened

_TIMES = ("t_conn_s", "t_sub_s")
_SINGLE_TIMES = ("t_svc_s", "t_rec_s", "outage_s_mean")
_MOST_POINTS = 120


def shrink(storm: Storm, connections: float, time: float) -> Storm:
    """Return the small storm that `connections` clients make when time runs `time` as fast."""
    share = connections / storm.clients
    cure = storm.cure
    return replace(
        storm,
        clients=connections,
        give_up_s=storm.give_up_s / time,
        latency_s=storm.latency_s / time,
        capacity_per_s=storm.capacity_per_s * share * time,
        policy=Quickened(storm.policy, time) if time != 1 else storm.policy,
        ping_interval_s=storm.ping_interval_s / time,
        ping_timeout_s=storm.ping_timeout_s / time,
        cure=replace(
            cure,
            in_flight=cure.in_flight * share,
            admit_per_s=cure.admit_per_s * share * time,
            retry_after_s=cure.retry_after_s / time,
            first_spread_s=cure.first_spread_s / time,
            drain_per_s=cure.drain_per_s * share * time,
        ),
    )


def scale_facts(real: Storm, connections: int, time: float, events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return "scale" of run.json: both systems, and what was measured of each event in the real system's time.

    Args:
        events: as in run.json; a time that is null stays null.
    """
    small = shrink(real, connections, time)
    return {
        "connections": connections,
        "time": time,
        "storm_number": real.number,
        "real": _system(real),
        "small": _system(small),
        "events": [_in_real_time(event, time) for event in events],
    }


def prediction_facts(real: Storm, told: Prediction) -> dict[str, Any]:
    """Return "prediction" of run.json: what the model said of the real system, in its time."""
    every = max(1, -(-len(told.t_s) // _MOST_POINTS))
    return {
        "t_sub_s": dict(told.recovered_s),
        "amplification": told.attempts_per_client,
        "secondary_drops_per_client": told.secondary_drops / told.clients,
        "refused_per_client": told.refused / told.clients,
        "outage_s_mean": told.outage_s_mean,
        "closed_form_s": closed_form_s(real),
        "curve": {"t_s": told.t_s[::every], "subscribed": told.connected[::every]},
    }


def ratios(facts: Mapping[str, Any], prediction: Mapping[str, Any]) -> dict[str, dict[str, float | None]]:
    """Return measured / predicted of T_sub by event and percent; None where either did not recover."""
    return {
        str(event["name"]): {
            percent: _ratio(event["t_sub_s"].get(percent), prediction["t_sub_s"].get(percent)) for percent in PERCENTS
        }
        for event in facts["events"]
    }


def _ratio(measured: float | None, predicted: float | None) -> float | None:
    return measured / predicted if measured is not None and predicted else None


def _system(storm: Storm) -> dict[str, float | int]:
    return {
        "clients": storm.clients,
        "give_up_s": storm.give_up_s,
        "mean_backoff_s": storm.mean_backoff_s,
        "capacity_per_s": storm.capacity_per_s,
        "stages": storm.stages,
        "latency_s": storm.latency_s,
        "steady_share": storm.steady_share,
        "ping_cost": storm.ping_cost,
        "ping_interval_s": storm.ping_interval_s,
    }


def _in_real_time(event: Mapping[str, Any], time: float) -> dict[str, Any]:
    recovery = event["recovery"]
    told: dict[str, Any] = {"name": event["name"]}
    for key in _TIMES:
        told[key] = {percent: _times(value, time) for percent, value in recovery[key].items()}
    for key in _SINGLE_TIMES:
        told[key] = _times(recovery[key], time)
    return told


def _times(value: float | None, time: float) -> float | None:
    return None if value is None else value * time
