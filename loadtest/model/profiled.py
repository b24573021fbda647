"""The storm that a profile with `[scale]` is about.

profile.scale + profile.reconnect --real_storm--> Storm --predict--> what run.json says under "scale" and "prediction"
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from loadtest.errors import UsageError
from loadtest.model.scaling import prediction_facts, ratios, scale_facts, shrink
from loadtest.model.simulation import predict
from loadtest.model.storm import Cure, Storm
from loadtest.pacing.reconnect import policy
from loadtest.profile.model import Profile


def real_storm(profile: Profile) -> Storm:
    """Return the storm of the real system.

    Raises:
        UsageError: the profile has no [scale].
    """
    scale = profile.scale
    if scale is None:
        raise UsageError(f"the profile {profile.name} has no [scale]: say there which system the storm is of")
    cure = scale.cure
    return Storm(
        clients=scale.clients,
        give_up_s=scale.give_up_s,
        capacity_per_s=scale.capacity_per_s,
        policy=policy(profile.reconnect.policy, **profile.reconnect.parameters),
        stages=scale.stages,
        latency_s=scale.latency_s,
        steady_share=scale.steady_share,
        ping_cost=scale.ping_cost,
        ping_interval_s=scale.ping_interval_s,
        cure=Cure(
            in_flight=cure.in_flight,
            admit_per_s=cure.admit_per_s,
            refusal_cost=cure.refusal_cost,
            retry_after_s=cure.retry_after_s,
            first_spread_s=cure.first_spread_s,
            drain_per_s=cure.drain_per_s,
            resumed_cost=cure.resumed_cost,
        ),
    )


def stack_limits(profile: Profile) -> dict[str, float]:
    """Return the limits that make the reference stack as scarce as the real system, by flag; none without [scale].

    What versions with admission control let in (`--admit`) is the cure's, where it says so.
    """
    scale = profile.scale
    if scale is None:
        return {}
    small = shrink(real_storm(profile), profile.population.connections, scale.time)
    limits = {
        "--capacity": small.capacity_per_s,
        "--handshake-stages": float(small.stages),
        "--held-cost": scale.held_cost_per_s() * scale.time,
    }
    return limits | ({"--admit": small.cure.admit_per_s} if small.cure.admit_per_s else {})


def scaled_figures(profile: Profile, events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return "scale" and "prediction" of run.json for its `events`; nothing without [scale]."""
    if profile.scale is None:
        return {}
    real = real_storm(profile)
    storms = [event for event in events if event.get("dropped") != 0]  # of a fault that dropped nobody nothing is told
    facts = scale_facts(real, profile.population.connections, profile.scale.time, storms)
    prediction = prediction_facts(real, predict(real))
    return {"scale": facts, "prediction": {**prediction, "measured_to_predicted": ratios(facts, prediction)}}
