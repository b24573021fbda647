"""How long a client waits before it tries again: each policy as the named client's source computes it.

    attempt 0 is the first retry after a loss; every failed connect adds one; a success starts again at 0
    attempt, rng --wait_s--> seconds, or None: never again
    attempt, hint, rng --next_wait_s--> the same, for policies that obey what the server said

To add a policy: a frozen dataclass with its parameters as fields (durations end in _s), and its name in POLICIES.
The table in tests/pacing/test_reconnect.py then wants its first waits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import floor
from random import Random
from types import MappingProxyType
from typing import Protocol, runtime_checkable

from loadtest.errors import UsageError

MOST_OBEYED_S = 86_400.0
"""A server that wants to be asked again later than this is asked then: a hint is a stranger's number."""

_MOST_DOUBLINGS = 900  # 2.0 ** 1024 overflows; every cap is reached long before


def _doubled(base_s: float, attempt: int) -> float:
    return base_s * 2.0 ** min(attempt, _MOST_DOUBLINGS)


class ReconnectPolicy(Protocol):
    """The waiting behaviour of one kind of client."""

    def wait_s(self, attempt: int, rng: Random) -> float | None:
        """Return seconds to wait before retry number `attempt` (from 0), or None to give up for good."""


@runtime_checkable
class Chained(Protocol):
    """Extra power of a policy whose wait depends on the client's wait before it."""

    def wait_after_s(self, previous_s: float | None, rng: Random) -> float:
        """Return the wait after one of `previous_s`; None: this is the first retry."""


@dataclass(frozen=True, slots=True)
class SocketIOJs:
    """Socket.IO's JavaScript client.

    wait = min(ms * 2^a -+ floor(u * jitter * ms * 2^a), cap), cut to whole ms; u is drawn once, and the parity of its
    first decimal chooses the sign. The jitter comes before the cap: from about the fifth retry on everybody waits
    exactly the cap, so a crowd that fell together keeps knocking together.

    Source: socket.io-client, lib/contrib/backo2.ts (Backoff.duration), defaults of lib/manager.ts.
    """

    base_s: float = 1.0
    cap_s: float = 5.0
    jitter: float = 0.5

    def wait_s(self, attempt: int, rng: Random) -> float:
        """See `ReconnectPolicy.wait_s`."""
        wait_ms = _doubled(self.base_s * 1000, attempt)
        if self.jitter:
            drawn = rng.random()
            deviation_ms = floor(drawn * self.jitter * wait_ms)
            wait_ms += deviation_ms if floor(drawn * 10) & 1 else -deviation_ms
        return int(min(wait_ms, self.cap_s * 1000)) / 1000


@dataclass(frozen=True, slots=True)
class PythonSocketIO:
    """python-socketio's client: doubling up to the cap, then -+ `spread_s` (a time, not a share) on top.

    Source: python-socketio, Client._handle_reconnect; randomization_factor is `spread_s`.
    """

    base_s: float = 1.0
    cap_s: float = 5.0
    spread_s: float = 0.5

    def wait_s(self, attempt: int, rng: Random) -> float:
        """See `ReconnectPolicy.wait_s`."""
        wait_s = min(_doubled(self.base_s, attempt), self.cap_s)
        # The client waits on an event: a negative timeout is no wait.
        return max(0.0, wait_s + self.spread_s * (2 * rng.random() - 1))


@dataclass(frozen=True, slots=True)
class Centrifuge:
    """centrifuge-go's client: base + U(0, 1) * (base * 2^a - base), then the cap; the first retry waits exactly base.

    Source: centrifuge-go reconnect.go over jpillora/backoff (ForAttempt with Jitter and Factor 2).
    """

    base_s: float = 0.2
    cap_s: float = 20.0

    def wait_s(self, attempt: int, rng: Random) -> float:
        """See `ReconnectPolicy.wait_s`."""
        if self.base_s >= self.cap_s:
            return self.cap_s
        return min(self.cap_s, self.base_s + rng.random() * (_doubled(self.base_s, attempt) - self.base_s))


@dataclass(frozen=True, slots=True)
class Phoenix:
    """Phoenix's JavaScript client: a fixed table, no randomness.

    Source: phoenix, assets/js/phoenix/socket.js (reconnectAfterMs).
    """

    def wait_s(self, attempt: int, rng: Random) -> float:  # noqa: ARG002
        """See `ReconnectPolicy.wait_s`."""
        table_ms = (10, 50, 100, 150, 200, 250, 500, 1000, 2000)
        return (table_ms[attempt] if attempt < len(table_ms) else 5000) / 1000


@dataclass(frozen=True, slots=True)
class FullJitter:
    """U(0, min(cap, base * 2^a)).

    Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """

    base_s: float = 1.0
    cap_s: float = 30.0

    def wait_s(self, attempt: int, rng: Random) -> float:
        """See `ReconnectPolicy.wait_s`."""
        return rng.random() * min(self.cap_s, _doubled(self.base_s, attempt))


@dataclass(frozen=True, slots=True)
class EqualJitter:
    """Half of min(cap, base * 2^a), and U(0, the other half) on top.

    Source: as FullJitter.
    """

    base_s: float = 1.0
    cap_s: float = 30.0

    def wait_s(self, attempt: int, rng: Random) -> float:
        """See `ReconnectPolicy.wait_s`."""
        half_s = min(self.cap_s, _doubled(self.base_s, attempt)) / 2
        return half_s + rng.random() * half_s


@dataclass(frozen=True, slots=True)
class DecorrelatedJitter:
    """min(cap, U(base, 3 * the wait before)), the first as after a wait of base.

    `wait_s` knows no wait before: it draws a chain of its own, which gives each retry's wait its exact distribution
    but not the dependence on this client's last one. A caller that keeps the last wait uses `wait_after_s`.

    Source: as FullJitter.
    """

    base_s: float = 1.0
    cap_s: float = 30.0

    def wait_s(self, attempt: int, rng: Random) -> float:
        """See `ReconnectPolicy.wait_s`. Cost: one draw per earlier retry, 64 at most (it is stationary by then)."""
        wait_s: float | None = None
        for _ in range(min(attempt, 63) + 1):
            wait_s = self.wait_after_s(wait_s, rng)
        return self.base_s if wait_s is None else wait_s

    def wait_after_s(self, previous_s: float | None, rng: Random) -> float:
        """See `Chained.wait_after_s`."""
        before_s = self.base_s if previous_s is None else previous_s
        return min(self.cap_s, self.base_s + rng.random() * (before_s * 3 - self.base_s))


@dataclass(frozen=True, slots=True)
class Fixed:
    """The same wait every time."""

    delay_s: float = 1.0

    def wait_s(self, attempt: int, rng: Random) -> float:  # noqa: ARG002
        """See `ReconnectPolicy.wait_s`."""
        return self.delay_s


@dataclass(frozen=True, slots=True)
class Never:
    """Once lost, gone."""

    def wait_s(self, attempt: int, rng: Random) -> None:  # noqa: ARG002
        """See `ReconnectPolicy.wait_s`."""
        return


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """Comes back exactly when the server said: it assigns the slots, so jitter of our own would only blur them.

    Without a hint it waits as FullJitter.

    Source: RFC 9110 section 10.2.3 for the header; the other ways of saying so are those of `protocol.hint`.
    """

    base_s: float = 1.0
    cap_s: float = 30.0

    def wait_s(self, attempt: int, rng: Random) -> float:
        """See `ReconnectPolicy.wait_s`: the wait when nothing was said."""
        return FullJitter(self.base_s, self.cap_s).wait_s(attempt, rng)


@dataclass(frozen=True, slots=True)
class BackoffReset:
    """A common fault: the wait doubles, but every transport that opens counts as a success and starts it again.

    A server that accepts and then turns clients away is asked again after `base_s`, for ever. The wait itself is that
    of SocketIOJs.
    """

    base_s: float = 1.0
    cap_s: float = 5.0
    jitter: float = 0.5

    def wait_s(self, attempt: int, rng: Random) -> float:
        """See `ReconnectPolicy.wait_s`."""
        return SocketIOJs(self.base_s, self.cap_s, self.jitter).wait_s(attempt, rng)


@dataclass(frozen=True, slots=True)
class Quickened:
    """Any policy in a system whose time runs `times` as fast: every wait of its own is divided.

    What the server says is not: a server of that system says it in that system's time.
    """

    policy: ReconnectPolicy
    times: float

    def wait_s(self, attempt: int, rng: Random) -> float | None:
        """See `ReconnectPolicy.wait_s`."""
        wait_s = self.policy.wait_s(attempt, rng)
        return None if wait_s is None else wait_s / self.times


@dataclass(frozen=True, slots=True)
class Distant:
    """Any policy as the server hears it: each retry later by U(0, 2 * latency), for networks, radios and clocks.

    Over loopback a crowd whose waits are all the same would knock in step for ever. What the server says is obeyed to
    the moment.

    Source: our assumption, the same as `latency_s` of the storm model.
    """

    policy: ReconnectPolicy
    latency_s: float

    def wait_s(self, attempt: int, rng: Random) -> float | None:
        """See `ReconnectPolicy.wait_s`."""
        wait_s = self.policy.wait_s(attempt, rng)
        return None if wait_s is None else wait_s + rng.random() * 2 * self.latency_s


def next_wait_s(policy: ReconnectPolicy, attempt: int, hint_s: float | None, rng: Random) -> float | None:
    """Return the wait before retry `attempt`, as `ReconnectPolicy.wait_s`.

    Args:
        hint_s: when the server wants to be asked again; None: it did not say. Only `RetryAfter` listens, up to a day.
    """
    if hint_s is not None and isinstance(_inner(policy), RetryAfter):
        return min(hint_s, MOST_OBEYED_S)
    return policy.wait_s(attempt, rng)


def attempt_once_open(policy: ReconnectPolicy, attempt: int) -> int:
    """Return the attempt a client counts on once its transport is open, before it is let in."""
    return 0 if isinstance(_inner(policy), BackoffReset) else attempt


def _inner(policy: ReconnectPolicy) -> ReconnectPolicy:
    while isinstance(policy, Quickened | Distant):
        policy = policy.policy
    return policy


Policy = (
    type[SocketIOJs]
    | type[PythonSocketIO]
    | type[Centrifuge]
    | type[Phoenix]
    | type[FullJitter]
    | type[EqualJitter]
    | type[DecorrelatedJitter]
    | type[Fixed]
    | type[Never]
    | type[RetryAfter]
    | type[BackoffReset]
)

POLICIES: Mapping[str, Policy] = MappingProxyType(
    {
        "socketio-js": SocketIOJs,
        "full-jitter": FullJitter,
        "fixed": Fixed,
        "none": Never,
        "python-socketio": PythonSocketIO,
        "centrifuge": Centrifuge,
        "phoenix": Phoenix,
        "equal-jitter": EqualJitter,
        "decorrelated-jitter": DecorrelatedJitter,
        "retry-after": RetryAfter,
        "backoff-reset": BackoffReset,
    }
)
"""Every policy by the name that profiles use."""


def policy(name: str, **parameters: float) -> ReconnectPolicy:
    """Return a policy by name; parameters left out take the named client's own defaults.

    Raises:
        UsageError: no such policy, or a parameter that it does not have.
    """
    kind = POLICIES.get(name)
    if kind is None:
        raise UsageError(f'no reconnect policy "{name}"; there are {", ".join(POLICIES)}')
    known = [field.name for field in fields(kind)]
    for parameter in parameters:
        if parameter not in known:
            raise UsageError(f'reconnect policy "{name}" has no {parameter}; it takes {", ".join(known) or "nothing"}')
    return kind(**parameters)
