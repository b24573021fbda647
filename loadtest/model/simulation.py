"""Follow a storm through time, in mean field: how many are where, never who.

    connected --drop--> waiting (by attempt, until due) --due--> [cap: refused -> waiting] in flight, stage 0 .. k-1
        ^                   ^------------ gave up after T ------------/                          |
        \\---------------------------------- stage k done ---------------------------------------/

Law: clients are conserved, and so is work: k c stages a second, less what steady traffic, heartbeats and refusals take,
go to those in flight, each with the same chance. With rho(t) the services that a client in flight since 0 has had on
the mean, whoever began at s has had Poisson(rho(t) - rho(s)): the whole crowd is k numbers, and who gives up at t is
known from when he began. Memory follows T and the longest wait, not N.

Waves: a crowd whose waits have settled on one value keeps knocking in waves, and what a server can do between them goes
to nobody. Networks and clocks blur them (`Storm.latency_s`); without that, the naive storm at S = 12.5 takes 6.8 h in
place of 6.9, and a token bucket of 2,000/s 13 min in place of 8.

Source: METRICS, "Storm model"; the same recursion as the closed form, with what it leaves out: the first retries, early
successes, u, phi and the cures.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from random import Random

from loadtest.model.storm import Storm, poisson, settled_attempt, waits_s

STEPS_PER_PATIENCE = 40
"""Steps of the simulation in one give-up time T. Four times as many change the T99 of the story's storms by 0.6 % at
S = 12.5, 3 % at 6.7 and 5 % at 5; without latency, whose waves never end, by up to 6 %."""

PERCENTS = ("50", "90", "99", "99.9")
HORIZON = 4000.0
"""How long to follow a storm, in T: 22 hours with 20 s."""

_FINEST_RHO = 0.1
_MOST_POINTS = 400
_DONE_RHO = 1000.0


@dataclass(slots=True)
class Prediction:
    """What the model says of one storm; times in seconds since the drop began.

    Attributes:
        recovered_s: by percent, when so many were connected through all stages again; None = not within the horizon.
        attempts: connects tried. refused: of them, refused at once. secondary_drops: held clients lost to the overload.
        peak_attempts_1s: most connects tried in a second, on the mean of a step.
        outage_s_mean: mean time without a session per client.
        t_s, connected, attempts_per_s: the time series, thinned: share of clients, connects tried per second.
    """

    storm_number: float
    clients: float
    recovered_s: dict[str, float | None] = field(default_factory=lambda: dict.fromkeys(PERCENTS))
    attempts: float = 0.0
    refused: float = 0.0
    secondary_drops: float = 0.0
    peak_attempts_1s: float = 0.0
    outage_s_mean: float = 0.0
    t_s: list[float] = field(default_factory=list)
    connected: list[float] = field(default_factory=list)
    attempts_per_s: list[float] = field(default_factory=list)

    @property
    def attempts_per_client(self) -> float:
        """Connects tried per client: the amplification of the storm."""
        return self.attempts / self.clients


def predict(storm: Storm, horizon_s: float | None = None, until: str = "99.9") -> Prediction:
    """Return what becomes of the storm.

    Args:
        horizon_s: how long to follow it; None = `HORIZON` times T.
        until: the percent to wait for.

    Raises:
        UsageError: the policy never comes back.
    Cost: about 15 us per step, so 0.8 s for a storm of seven hours.
    """
    return _Simulation(storm).run(HORIZON * storm.give_up_s if horizon_s is None else horizon_s, until)


class _Waiting:
    """Those who wait, by attempt, in one ring of steps; a spread over a long time is a rate that begins and ends."""

    def __init__(self, storm: Storm, step_s: float) -> None:
        storm.mean_backoff_s  # noqa: B018 - refuses a policy that never comes back
        self.levels = settled_attempt(storm.policy) + 1
        self.total = 0.0
        self._step_s = step_s
        self._kernels = [
            _kernel(_blurred(waits_s(storm.policy, attempt), storm.latency_s), step_s) for attempt in range(self.levels)
        ]
        longest = max(kernel[-1][0] for kernel in self._kernels)
        self._due: deque[list[float]] = deque([0.0] * self.levels for _ in range(longest + 1))
        self._rate = [0.0] * self.levels
        self._changes: deque[list[float]] = deque()

    def back_off(self, clients: float, attempt: int) -> None:
        """Let clients wait as their policy says for retry `attempt`."""
        level = min(attempt, self.levels - 1)
        for step, share in self._kernels[level]:
            self._due[step][level] += clients * share
        self.total += clients

    def spread(self, clients: float, attempt: int, over_s: float) -> None:
        """Let clients come evenly over the next `over_s`."""
        level = min(attempt, self.levels - 1)
        steps = max(1, round(over_s / self._step_s))
        while len(self._changes) <= steps:
            self._changes.append([0.0] * self.levels)
        self._rate[level] += clients / steps
        self._changes[steps - 1][level] -= clients / steps
        self.total += clients

    def due(self) -> list[float]:
        """Return who tries now, by attempt."""
        now = self._due.popleft()
        self._due.append([0.0] * self.levels)
        if self._changes:
            now = [one + rate for one, rate in zip(now, self._rate, strict=True)]
            for level, change in enumerate(self._changes.popleft()):
                self._rate[level] = max(0.0, self._rate[level] + change)
        self.total -= sum(now)
        return now


class _Simulation:
    def __init__(self, storm: Storm) -> None:
        self._storm = storm
        self._step_s = storm.give_up_s / STEPS_PER_PATIENCE
        self._waiting = _Waiting(storm, self._step_s)
        self._connected = storm.clients
        self._undropped = storm.clients
        self._stages = [0.0] * storm.stages
        self._debt = 0.0
        self._begun: deque[tuple[float, list[float]]] = deque()
        self._rho = 0.0
        self._rho_before: deque[float] = deque([0.0] * max(1, round(storm.ping_timeout_s / self._step_s)))
        self._prediction = Prediction(storm.number, storm.clients)

    def run(self, horizon_s: float, until: str) -> Prediction:
        told, step_s, clients = self._prediction, self._step_s, self._storm.clients
        every, now_s, steps = 1, 0.0, 0
        while now_s < horizon_s and told.recovered_s[until] is None:
            tried = self._step()
            steps += 1
            now_s = steps * step_s
            told.attempts += tried
            told.peak_attempts_1s = max(told.peak_attempts_1s, tried / max(1.0, step_s))
            told.outage_s_mean += (1 - self._connected / clients) * step_s
            if self._undropped <= 0:
                for percent, when_s in told.recovered_s.items():
                    if when_s is None and self._connected >= float(percent) / 100 * clients:
                        told.recovered_s[percent] = now_s
            if steps % every == 0:
                told.t_s.append(now_s)
                told.connected.append(self._connected / clients)
                told.attempts_per_s.append(tried / step_s)
                if len(told.t_s) >= 2 * _MOST_POINTS:
                    every *= 2
                    for series in (told.t_s, told.connected, told.attempts_per_s):
                        del series[::2]
        return told

    def _step(self) -> float:
        """Move on by one step; return the connects tried in it."""
        self._drop()
        self._give_up()
        tried = self._waiting.due()
        refusals = self._admit(tried)
        self._serve(refusals)
        return sum(tried)

    def _drop(self) -> None:
        """Drop who is to be dropped now, and who is held but was not heard."""
        storm, waiting = self._storm, self._waiting
        if self._undropped > 0:
            pace = storm.cure.drain_per_s
            due = min(self._undropped, pace * self._step_s) if pace else self._undropped
            self._undropped -= due
            dropped = min(due, self._connected)  # the overload may have lost some of them before
            self._connected -= dropped
            if storm.cure.first_spread_s:
                waiting.spread(dropped, 0, storm.cure.first_spread_s)
            else:
                waiting.back_off(dropped, 0)
        if storm.pings_queue:
            unheard = poisson(self._rho - self._rho_before[0], 0)[0]
            lost = unheard * self._connected * self._step_s / storm.ping_interval_s
            self._connected -= lost
            self._prediction.secondary_drops += lost
            waiting.back_off(lost, 0)
        self._rho_before.popleft()
        self._rho_before.append(self._rho)

    def _give_up(self) -> None:
        """Send back who began T ago and is still in flight."""
        if len(self._begun) < STEPS_PER_PATIENCE:
            return
        rho, began = self._begun.popleft()
        left = poisson(self._rho - rho, len(self._stages) - 1)
        total = sum(began)
        for stage, share in enumerate(left):
            self._stages[stage] = max(0.0, self._stages[stage] - total * share)
        still = sum(left)
        for level, clients in enumerate(began):
            if clients:
                self._waiting.back_off(clients * still, level + 1)

    def _admit(self, tried: list[float]) -> float:
        """Take attempts in flight, as far as the cap lets; return how many were refused."""
        cure, refused = self._storm.cure, 0.0
        arrivals = sum(tried)
        room = max(0.0, cure.in_flight - sum(self._stages)) if cure.in_flight else arrivals
        if cure.admit_per_s:
            room = min(room, cure.admit_per_s * self._step_s)
        if arrivals > room:
            refused = arrivals - room
            turned = refused / arrivals
            for level, clients in enumerate(tried):
                if cure.retry_after_s:
                    self._waiting.spread(clients * turned, level + 1, cure.retry_after_s)
                else:
                    self._waiting.back_off(clients * turned, level + 1)
            tried = [clients * (1 - turned) for clients in tried]
        self._stages[0] += arrivals - refused
        self._begun.append((self._rho, tried))
        self._prediction.refused += refused
        return refused

    def _serve(self, refusals: float) -> None:
        """Spend the step's work on refusals first, then on those in flight; refusals wait, up to T."""
        storm, step_s = self._storm, self._step_s
        steady = storm.steady_share * storm.capacity_per_s * self._connected / storm.clients
        pings = storm.ping_cost * self._connected / storm.ping_interval_s
        left = max(0.0, (storm.capacity_per_s - steady - pings) * step_s)
        owed = self._debt + refusals * storm.cure.refusal_cost
        self._debt = min(max(0.0, owed - left), storm.capacity_per_s * storm.give_up_s)
        work = max(0.0, left - owed) * storm.stages / storm.cure.resumed_cost
        needed = len(self._stages)
        if work >= sum(clients * (needed - stage) for stage, clients in enumerate(self._stages)):
            self._connected += sum(self._stages)
            self._stages = [0.0] * needed
            self._rho += _DONE_RHO
            return
        while work > 0 and (crowd := sum(self._stages)) > 0:
            services = min(work / crowd, _FINEST_RHO)
            self._advance(services)
            after = sum(self._stages)
            self._connected += crowd - after
            work -= services * (crowd + after) / 2
            if services < _FINEST_RHO:
                return

    def _advance(self, services: float) -> None:
        """Give everybody in flight Poisson(`services`) services."""
        self._rho += services
        share = poisson(services, len(self._stages) - 1)
        self._stages = [
            sum(self._stages[before] * share[stage - before] for before in range(stage + 1))
            for stage in range(len(self._stages))
        ]


def _blurred(waits: list[float], latency_s: float) -> list[float]:
    """Return the waits, each later by something between nothing and twice the latency."""
    rng = Random(1)
    return [wait_s + rng.random() * 2 * latency_s for wait_s in waits]


def _kernel(waits: list[float], step_s: float) -> list[tuple[int, float]]:
    """Return (steps, share) of a distribution of waits; the mean is kept, half a step being spent on average anyway."""
    shares: dict[int, float] = {}
    for wait_s in waits:
        exact = max(0.0, wait_s / step_s)
        below = int(exact)
        for step, share in ((below, below + 1 - exact), (below + 1, exact - below)):
            if share:
                shares[step] = shares.get(step, 0.0) + share / len(waits)
    return sorted(shares.items())
