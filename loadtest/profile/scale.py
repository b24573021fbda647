"""The large system that a small run speaks for: `[scale]`. Everything here is in the real system's units.

    real system: N, T, c, ping, waits --clients, time--> as run: connections, connect timeout, capacity, waits

Law: with `[scale]` the durations of `[reconnect]` are the real system's too; what the profile runs with is computed,
and so cannot be given twice (`profile.rules.scale`). `duration`, `[ramp]`, `[phases]`, `[publish]` and the moments of
faults are those of the run. Heartbeats go at the run's own pace: what those of the real system would take of its
capacity, the reference stack is told to take off (`held_cost_per_s`).
"""

from __future__ import annotations

from pydantic import Field

from loadtest.profile.quantities import Count, PerSecond, Seconds, Share
from loadtest.profile.section import Section


class Cure(Section):
    """What the gateway does against the storm, for the prediction; whether it does so is its version's affair."""

    in_flight: Count = Field(
        default=0, le=100_000_000, description="Concurrency cap on handshakes: more are refused; 0: none."
    )
    admit_per_s: PerSecond = Field(
        default=0.0,
        alias="admit",
        le=1e9,
        description="Clients per second let in, the others refused; admission control is told so; 0: all.",
    )
    refusal_cost: float = Field(default=0.0, ge=0, le=1, description="What a refusal takes, in full connects.")
    retry_after_s: Seconds = Field(
        default=0.0, alias="retry_after", le=86_400, description="The refused are spread evenly over this; 0s: are not."
    )
    first_spread_s: Seconds = Field(
        default=0.0,
        alias="first_spread",
        le=86_400,
        description="The dropped come back spread evenly over this the first time; 0s: by their policy.",
    )
    drain_per_s: PerSecond = Field(
        default=0.0, alias="drain", le=1e9, description="The drop is paced: clients per second; 0: all at once."
    )
    resumed_cost: float = Field(
        default=1.0, gt=0, le=1, description="What a client whose session is known takes of a full connect."
    )


class Scale(Section):
    """The real system, and how fast time runs in the run; the clients' scale is population.connections / clients."""

    clients: int = Field(gt=0, le=1_000_000_000, description="Clients of the real system (N).", examples=[1_000_000])
    time: float = Field(
        default=1.0, ge=1, le=100_000, description="How many seconds of the real system pass in one of the run."
    )
    give_up_s: Seconds = Field(
        default=20.0, alias="give_up", gt=0, le=3600, description="Give-up time of one attempt (T)."
    )
    capacity_per_s: PerSecond = Field(
        alias="capacity",
        gt=0,
        le=1e9,
        description="Full connects per second the real system works off (c); the reference stack is limited likewise.",
        examples=["3200/s"],
    )
    stages: int = Field(default=4, ge=1, le=64, description="Equal stages of a handshake (k).")
    latency_s: Seconds = Field(
        default=0.5,
        alias="latency",
        le=60,
        description="Mean latency to the server: each retry is later by up to twice that.",
    )
    steady_share: Share = Field(
        default=0.0,
        lt=1,
        description="Part of the capacity that steady traffic takes when everybody is connected (u).",
    )
    ping_cost: float = Field(default=0.0, ge=0, le=1000, description="What a heartbeat takes, in full connects (phi).")
    ping_interval_s: Seconds = Field(
        default=25.0, alias="ping_interval", gt=0, le=86_400, description="Time between heartbeats of a client."
    )
    cure: Cure = Field(default_factory=Cure, description="What is done against the storm, as the model is to see it.")

    def held_cost_per_s(self) -> float:
        """Return what one held connection takes of the capacity, in connects per second of the real system."""
        return self.steady_share * self.capacity_per_s / self.clients + self.ping_cost / self.ping_interval_s
