"""When things happen, and how clients come back: `[ramp]`, `[phases]`, `[reconnect]`, `[recovery]`.

ramp (everybody connects and subscribes) -> warmup -> hold (`duration`, measured) -> drain (deadline passes)
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from loadtest.profile.quantities import Count, Percent, PerSecond, Seconds, Share
from loadtest.profile.section import Section


class Ramp(Section):
    """How the population connects: an open-loop schedule that does not wait for the target."""

    rate_per_s: PerSecond = Field(
        default=1000.0, alias="rate", gt=0, le=1_000_000, description="Connects per second, whole population."
    )
    timeout_s: Seconds = Field(
        default=60.0,
        alias="timeout",
        gt=0,
        le=86_400,
        description="How long to wait for everybody, from the start of the run.",
    )
    connect_timeout_s: Seconds = Field(
        default=10.0,
        alias="connect_timeout",
        gt=0,
        le=3600,
        description="An attempt (TCP, TLS, upgrade, session) that takes longer is given up.",
    )
    max_in_flight: Count = Field(default=0, le=1_000_000, description="Connects in flight per worker; 0: automatic.")


class Phases(Section):
    """The phases around the measured one."""

    warmup_s: Seconds = Field(
        default=2.0, alias="warmup", le=86_400, description="After everybody is subscribed, before `duration` begins."
    )
    drain_s: Seconds | None = Field(
        default=None,
        alias="drain",
        le=86_400,
        description="After `duration`: publishing has stopped, deadlines pass. Default: publish.deadline + 1s.",
    )


PolicyName = Literal[
    "socketio-js",
    "full-jitter",
    "fixed",
    "none",
    "python-socketio",
    "centrifuge",
    "phoenix",
    "equal-jitter",
    "decorrelated-jitter",
    "retry-after",
    "backoff-reset",
]

POLICY_KEYS: dict[str, tuple[str, ...]] = {
    "socketio-js": ("base", "cap", "jitter"),
    "full-jitter": ("base", "cap"),
    "fixed": ("delay",),
    "none": (),
    "python-socketio": ("base", "cap", "spread"),
    "centrifuge": ("base", "cap"),
    "phoenix": (),
    "equal-jitter": ("base", "cap"),
    "decorrelated-jitter": ("base", "cap"),
    "retry-after": ("base", "cap"),
    "backoff-reset": ("base", "cap", "jitter"),
}
"""Which keys of `[reconnect]` each policy takes."""


class Reconnect(Section):
    """How a client that lost its connection, or failed to get one, waits before the next attempt."""

    policy: PolicyName = Field(default="socketio-js", description="Whose waiting behaviour to follow.")
    base_s: Seconds | None = Field(
        default=None, alias="base", gt=0, le=86_400, description="First wait, before jitter."
    )
    cap_s: Seconds | None = Field(default=None, alias="cap", gt=0, le=86_400, description="Longest wait.")
    jitter: float | None = Field(
        default=None, ge=0, le=1, description="Random share of the wait, 0 to 1 (socketio-js, backoff-reset)."
    )
    spread_s: Seconds | None = Field(
        default=None, alias="spread", le=86_400, description="Random part in time, added or taken (python-socketio)."
    )
    delay_s: Seconds | None = Field(default=None, alias="delay", le=86_400, description="The wait of policy fixed.")
    hint_path: str | None = Field(
        default=None,
        min_length=1,
        description="Where a Socket.IO CONNECT_ERROR says when to come back, in seconds, such as data.retry_after_s"
        " (retry-after). Default: by the usual names.",
    )

    @property
    def parameters(self) -> dict[str, float]:
        """Return what the file sets, by the parameter names of `loadtest.pacing.reconnect.policy`."""
        given = {
            "base_s": self.base_s,
            "cap_s": self.cap_s,
            "jitter": self.jitter,
            "spread_s": self.spread_s,
            "delay_s": self.delay_s,
        }
        return {name: value for name, value in given.items() if value is not None}


class Recovery(Section):
    """When service counts as restored after a fault, and the canary that finds it out.

    The canary is the one publish whose time depends on the system (closed loop): it goes out when enough clients wait
    for it. Everything else about it is as of every publish.
    """

    window_s: Seconds = Field(
        default=10.0, alias="window", gt=0, le=3600, description="Fan-out must stay good for this long (H of T_svc)."
    )
    tolerance: Percent = Field(
        default=0.10, description="How far p99 may exceed its baseline and still be good (x of T_svc)."
    )
    canary: str | None = Field(
        default=None,
        min_length=1,
        description="A message more to the channels of this name, such as all or room-{n}, once enough clients wait for"
        " it after a fault. Default: the schedule alone.",
    )
    canary_at: Share = Field(
        default=0.999, gt=0, description="Share of the event's clients that is subscribed again when it goes out."
    )
    canary_every_s: Seconds = Field(
        default=10.0,
        alias="canary_every",
        ge=1,
        le=3600,
        description="It is repeated after this time while clients are subscribed again that no message has reached.",
    )
