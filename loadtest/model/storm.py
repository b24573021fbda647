"""A reconnect storm as numbers: what is known of the system, its storm number, and the closed form.

    N clients, give-up time T, mean backoff B, capacity c, k equal stages     S = N / (c (T + B))

Law: everything is in seconds, clients and connects; equal S, k, B/T, u and phi mean equal T_rec / T. That is what lets
a small run speak for a large system (`scaling`).

Source: METRICS, "Storm model". The model and its parameters u and phi are our assumption; that a stage is served to
anybody in flight with the same chance makes the number of services before give-up a Poisson variable.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, factorial
from random import Random

from loadtest.errors import UsageError
from loadtest.pacing.reconnect import ReconnectPolicy, SocketIOJs

DRAWS = 4000
"""Draws from a policy that stand for its distribution."""

_SETTLED = 12
"""Attempt from which on a policy counts as settled: every cap is reached."""

_STEPS = 4000


@dataclass(frozen=True, slots=True)
class Cure:
    """What a gateway does against the storm; the defaults do nothing.

    Attributes:
        in_flight: concurrency cap: whoever comes while so many handshakes are under way is refused; 0 = none.
        admit_per_s: token bucket without savings: whoever comes above this rate is refused; 0 = none.
        refusal_cost: what a refusal takes of the capacity, in connects.
        retry_after_s: the refused are told to come back after U(0, this); 0 = they go by their own policy.
        first_spread_s: the dropped come back after U(0, this) the first time; 0 = by their own policy.
        drain_per_s: the drop is paced: so many clients per second; 0 = all at once.
        resumed_cost: what a returning client takes of a full connect, its session being known; 1 = all of it.
    """

    in_flight: float = 0.0
    admit_per_s: float = 0.0
    refusal_cost: float = 0.0
    retry_after_s: float = 0.0
    first_spread_s: float = 0.0
    drain_per_s: float = 0.0
    resumed_cost: float = 1.0


@dataclass(frozen=True, slots=True)
class Storm:
    """A system all of whose clients are dropped.

    Attributes:
        clients: N. give_up_s: T, the patience of one attempt. capacity_per_s: c, full connects per second in all.
        policy: how clients wait. stages: k. latency_s: what passes on the mean between the end of an attempt and its
            client's knowing, or between a client's trying and the server's hearing of it: network, radios, clocks. It
            only blurs the waves of a crowd whose waits are all the same; that it is half a second is our assumption.
        steady_share: u, the part of the capacity that steady traffic takes when everybody is connected.
        ping_cost: phi, what a heartbeat takes, in connects. ping_interval_s, ping_timeout_s: of the heartbeat.
        pings_queue: heartbeats wait among the handshakes, so that an overloaded server loses clients that it holds.
        cure: what is done against the storm.
    """

    clients: float
    give_up_s: float
    capacity_per_s: float
    policy: ReconnectPolicy = field(default_factory=SocketIOJs)
    stages: int = 4
    latency_s: float = 0.5
    steady_share: float = 0.0
    ping_cost: float = 0.0
    ping_interval_s: float = 25.0
    ping_timeout_s: float = 20.0
    pings_queue: bool = False
    cure: Cure = field(default_factory=Cure)

    def __post_init__(self) -> None:
        """Check what the types cannot.

        Raises:
            UsageError: naming the figure.
        """
        for name in ("clients", "give_up_s", "capacity_per_s", "ping_interval_s", "ping_timeout_s"):
            if not getattr(self, name) > 0:
                raise UsageError(f"the storm model needs {name} above 0, not {getattr(self, name):g}")
        if self.stages < 1:
            raise UsageError("the storm model needs at least one stage")
        if not 0 < self.cure.resumed_cost <= 1:
            raise UsageError(f"a resumed session costs above 0 and up to 1 connect, not {self.cure.resumed_cost:g}")
        if not 0 <= self.steady_share < 1:
            raise UsageError(f"the storm model needs a steady share from 0 to below 1, not {self.steady_share:g}")

    @property
    def mean_backoff_s(self) -> float:
        """B: the mean wait of a client that has failed often.

        Raises:
            UsageError: the policy gives up for good, so there is no storm.
        """
        waits = settled_waits_s(self.policy)
        if not waits:
            raise UsageError("clients that never come back make no storm")
        return sum(waits) / len(waits)

    @property
    def number(self) -> float:
        """S = N / (c (T + B)): how many times over the clients in one cycle exceed the capacity."""
        return self.clients / (self.capacity_per_s * (self.give_up_s + self.mean_backoff_s))


def waits_s(policy: ReconnectPolicy, attempt: int) -> list[float]:
    """Return waits that stand for the distribution of retry `attempt` (from 0); none when the policy gives up."""
    rng = Random(0)
    drawn = [policy.wait_s(attempt, rng) for _ in range(DRAWS)]
    return [wait_s for wait_s in drawn if wait_s is not None]


def settled_waits_s(policy: ReconnectPolicy) -> list[float]:
    """Return waits that stand for those of a client that has failed often; none when the policy gives up."""
    return waits_s(policy, _SETTLED)


def settled_attempt(policy: ReconnectPolicy) -> int:
    """Return the first attempt whose waits are those of all later ones."""
    last = waits_s(policy, _SETTLED)
    attempt = _SETTLED
    while attempt and waits_s(policy, attempt - 1) == last:
        attempt -= 1
    return attempt


def poisson(mean: float, most: int) -> list[float]:
    """Return Pr[Poisson(mean) = 0 .. most]."""
    terms = [exp(-mean)]
    for number in range(1, most + 1):
        terms.append(terms[-1] * mean / number)
    return terms


def at_least(count: int, mean: float) -> float:
    """Return Pr[Poisson(mean) >= count], without loss of digits when it is small."""
    if mean < 0.5:
        first = exp(-mean) * mean**count / factorial(count)
        total, number = first, count
        while first > total * 1e-15:
            number += 1
            first *= mean / number
            total += first
        return total
    return max(0.0, 1.0 - sum(poisson(mean, count - 1)))


def closed_form_s(storm: Storm, share: float = 0.99) -> float:
    """Return T_rec of `share` of the clients with u = 0, no heartbeats and no cure.

    T_rec = (T + B) * integral over d in [1 - share, 1] of dd / (d * Pr[Poisson(k / (S d)) >= k])
    """
    storm_number, stages = storm.number, storm.stages
    width = share / _STEPS
    total = 0.0
    for step in range(_STEPS):
        down = 1.0 - share + (step + 0.5) * width
        total += width / (down * at_least(stages, stages / (storm_number * down)))
    return (storm.give_up_s + storm.mean_backoff_s) * total
