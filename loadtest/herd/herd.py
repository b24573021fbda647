"""The herd: all connections of one kind in one process, as rows ("slots") of parallel arrays on one poller.

    turn():  poller --ready--> quick slots: read, look up, enter in the books          (the hot loop: `quick`)
                           \\-> everything else: `Attending` -> Opening or events
    tick():  timer wheel --> connect, retry, give up, ping watchdog

Laws
 1. No object, greenlet or closure per connection.
 2. A turn is bounded (256 events), so that whoever shares the process gets its turn.
 3. A peer's fault is counted by reason and ends that connection only; nothing a peer sends ends the herd.
 4. Every attempt ends in exactly one of: live, a counted failure, given up by us.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable, Sequence

from loadtest.clock import NS_PER_MS, NS_PER_S, Clock, now_ns
from loadtest.herd.account import Account
from loadtest.herd.addresses import SourcePool
from loadtest.herd.afflicting import Afflicting
from loadtest.herd.attending import Attending
from loadtest.herd.clients import Clients, Hooks, Settings
from loadtest.herd.listener import Listener
from loadtest.herd.opening import ASKED, Opening, Step
from loadtest.herd.outage import Outages
from loadtest.herd.poller import Poller
from loadtest.herd.queue_delay import QueueDelay
from loadtest.herd.quick import Quick, best
from loadtest.herd.slots import Slots
from loadtest.herd.states import IDLE, JOINING, LIVE, SUBSCRIBING, TIMEOUT_REASON, UPGRADING, WAITING
from loadtest.herd.subscribing import Subscribing
from loadtest.herd.timers import TimerWheel
from loadtest.herd.wires import Wires
from loadtest.metrics.ledger import Ledger
from loadtest.pacing.reconnect import ReconnectPolicy, attempt_once_open, next_wait_s
from loadtest.protocol.dialect import Dialect, Resumption
from loadtest.protocol.events import Acked

CONNECT_BUDGET_NS = 4 * NS_PER_MS


class Herd:
    """Hold connections, keep them alive, bring them back, and account for every message.

    Attributes:
        thread: the kernel's number of the thread in which its turns run; 0: whichever calls.

    Args:
        poller: an empty epoll-like object, owned by this herd from now on.
        opening: how a connection becomes a session. ledger: None for a herd that only publishes.
        policy: when a lost client comes back. rng: its jitter. hooks: told of every event; without them it is faster.
        quick: how the hottest steps are done; the best there is unless told otherwise.
    """

    def __init__(
        self,
        *,
        poller: Poller,
        dialect: Dialect,
        clients: Clients,
        opening: Opening,
        policy: ReconnectPolicy,
        sources: Sequence[str],
        settings: Settings,
        ledger: Ledger | None,
        rng: random.Random,
        hooks: Hooks | None = None,
        clock: Clock = now_ns,
        quick: Quick | None = None,
    ) -> None:
        way = quick or best()
        self.thread = 0
        self.poller = poller
        self.account = Account()
        self.ledger = ledger
        self.slots = Slots()
        self._clock, self._dialect, self._opening, self._policy = clock, dialect, opening, policy
        self._sources, self._settings, self._rng = SourcePool(sources), settings, rng
        self._hooks, self._groups = hooks, clients.groups
        self.queue_delay = QueueDelay()
        self._wires = Wires(poller, self.queue_delay, quick=way, late_acks=settings.late_acks)
        self.witnesses = self._wires.witnesses
        opening.use(self._wires)
        self._listener = Listener(
            self,
            self._wires,
            dialect,
            ledger,
            hooks,
            self.account,
            states=self.slots.state,
            groups=self._groups,
            run=settings.run,
            clock=clock,
        )
        self._timers = TimerWheel(clock(), settings.tick_ns)
        self.tick_s = settings.tick_ns / NS_PER_S
        self._queue: deque[int] = deque()
        self.outages = Outages(self.slots)
        self._subscribing = Subscribing(self.slots, clients, dialect, ledger)
        self.afflicting = Afflicting(self)
        self._attending = Attending(self, self._wires, opening, self._listener, clock)
        self._interner = self._listener.interner
        self._sweep = way.sweeper(
            poller,
            self._wires.quick,
            ledger.held if ledger is not None else [],
            self._groups,
            clock,
            self._listener.enter,
            self._attending.other,
        )
        self._watchdog_ns = 0
        self._resets_once_open = attempt_once_open(policy, 1) == 0

    # --- slots -------------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.slots)

    def add(self, indexes: Iterable[int]) -> range:
        """Make a slot for each client index; they stay idle until scheduled."""
        added = self.slots.add(indexes)
        for part in (self._wires, self._timers, self.outages):
            part.grow(added.stop)
        self._subscribing.assign(added)
        return added

    def schedule(self, slot: int, at_ns: int) -> None:
        """Connect an idle slot at `at_ns` (open loop: lateness is counted from there)."""
        if self.slots.state[slot] == IDLE:
            self.slots.set(slot, WAITING)
            self.slots.planned[slot] = at_ns
            self._timers.arm(slot, at_ns)

    def state(self, slot: int) -> int:
        """Return the state of a slot (`states`)."""
        return self.slots.state[slot]

    @property
    def is_quiet(self) -> bool:
        """Whether no slot is on its way: nothing is due soon but watchdogs."""
        return self.slots.population[LIVE] + self.slots.population[IDLE] == len(self.slots)

    def is_live(self, slot: int) -> bool:
        """Whether the slot is in session with all its subscriptions."""
        return self.slots.state[slot] == LIVE

    def release(self, slots: Iterable[int]) -> None:
        """Leave for good: an orderly close for those in session, nothing scheduled any more."""
        now = self._clock()
        for slot in slots:
            if self.slots.state[slot] == LIVE:
                self._wires.send(slot, self._dialect.close())
            self._leave(slot, now)
            self.put_to_rest(slot)
            self.afflicting.forget(slot)

    def close(self) -> None:
        """Give up the poller; nothing is to be asked of the herd any more."""
        self.poller.close()

    def put_to_rest(self, slot: int) -> None:
        """Have a slot that has no connection stay idle."""
        self.slots.set(slot, IDLE)
        self._timers.cancel(slot)

    # --- the loop ----------------------------------------------------------------------------------------------------

    def turn(self) -> int:
        """Handle what is ready now, 256 events at most; return how many there were."""
        return self._sweep(self._interner.young)

    def tick(self) -> bool:
        """Do what is due by the clock; return True when work is left over for the next call (bounded turn)."""
        start = self._clock()
        self.afflicting.tick(start)
        states = self.slots.state
        room = self._settings.max_in_flight - self.slots.in_flight
        for slot in self._timers.expired(start):
            if room > 0 and states[slot] == WAITING and not self._queue:
                self._connect(slot)
                room -= 1
            else:
                self._due(slot, start)
            if self._clock() - start > CONNECT_BUDGET_NS:
                return True
        room = self._settings.max_in_flight - self.slots.in_flight
        while self._queue and room > 0:
            slot = self._queue.popleft()
            if self.slots.state[slot] == WAITING:
                self._connect(slot)
                room -= 1
                if self._clock() - start > CONNECT_BUDGET_NS:
                    return True
        return False

    def _due(self, slot: int, now: int) -> None:
        state = self.slots.state[slot]
        if state == WAITING:
            if not self._queue and self.slots.in_flight < self._settings.max_in_flight:
                self._connect(slot)
            else:
                self.account.counts["postponed"] += 1
                self._queue.append(slot)
        elif state == SUBSCRIBING and not self._dialect.acked_subscribe:
            self._all_subscribed(slot, now)
        elif state in TIMEOUT_REASON:
            self.lose(slot, TIMEOUT_REASON[state])

    # --- coming ------------------------------------------------------------------------------------------------------

    def _connect(self, slot: int) -> None:
        now = self._clock()
        self.account.counts["attempts"] += 1
        self.account.begun_late_ns.append(max(0, now - self.slots.planned[slot]))
        self.outages.attempted(now)
        self.slots.begun[slot] = now
        self._timers.arm(slot, now + self._settings.connect_ns)
        step = self._opening.begin(slot, self.slots.index[slot], self._sources.take())
        if step is ASKED:
            self.slots.set(slot, UPGRADING)
        else:
            self.follow_step(slot, step)

    def follow_step(self, slot: int, step: Step) -> bool:
        """Enter how far an opening has got; return False when it is lost."""
        if step.failed is not None:
            self.lose(slot, step.failed, step.hint_s)
            return False
        if step.state == JOINING:
            return self.upgraded(slot, step.rest, step.end)
        if step.state != self.slots.state[slot]:
            self.slots.set(slot, step.state)
        return True

    def upgraded(self, slot: int, rest: bytes, end: str | None) -> bool:
        """Begin the session on a WebSocket that stands, with what came behind the answer; return as `follow_step`."""
        now = self._clock()
        self.slots.set(slot, JOINING)
        self.outages.connected(slot, now)
        if self._resets_once_open:
            self.slots.attempt[slot] = 0
        self._wires.make_quick(slot, on=True)
        if self._dialect.opens_with_upgrade:
            greeting = self._dialect.greeting(self._opening.variables(slot))
            if greeting and not self.transmit(slot, greeting):
                return False
            self.joined(slot, now)
        if rest and self._wires.is_open(slot):
            self._listener.chunk(slot, rest, now)
        if end is not None and self._wires.is_open(slot):
            self.lose(slot, end)
        return True

    def joined(self, slot: int, now_ns: int) -> None:
        """See `listener.Sessions`."""
        self.account.counts["connected"] += 1
        self.account.joined_ns.append(now_ns - self.slots.begun[slot])
        self.slots.attempt[slot] = 0
        self.slots.begun[slot] = now_ns
        self.slots.set(slot, SUBSCRIBING)
        frames = self._subscribing.request(slot, self._opening.variables(slot))
        self.slots.awaits_canary[slot] = self._settings.canary and self.slots.pending[slot] > 0
        if not frames:
            self._all_subscribed(slot, now_ns)
        elif self.transmit(slot, frames):
            self._wires.ack_at_once(slot)
            patience = self._settings.subscribe_ns if self._dialect.acked_subscribe else self._settings.settle_ns
            self._timers.arm(slot, now_ns + patience)

    def subscribed(self, slot: int, answer: Acked, now_ns: int) -> None:
        """See `listener.Sessions`."""
        if not answer.ok:
            self.lose(slot, "subscribe_refused")
        elif self._subscribing.answered(slot, answer, now_ns):
            self._live(slot, now_ns)

    def acknowledged(self, slot: int, requests: tuple[int, ...], now_ns: int) -> None:
        """See `listener.Sessions`."""
        if self._subscribing.all_answered(slot, requests, now_ns):
            self._live(slot, now_ns)

    def _all_subscribed(self, slot: int, now: int) -> None:
        self._subscribing.all(slot, now)
        self._live(slot, now)

    def _live(self, slot: int, now: int) -> None:
        self.account.counts["subscribed"] += 1
        self.account.subscribed_ns.append(now - self.slots.begun[slot])
        self.slots.set(slot, LIVE)
        self._opening.forget(slot)
        self.slots.live_since[slot] = now
        self.outages.subscribed(slot, now)
        if self.ledger is not None:
            self._wires.sample(slot)
        if not self.slots.awaits_canary[slot]:
            self.outages.recovered(slot, now)
        if self._watchdog_ns:
            self._timers.arm(slot, now + self._watchdog_ns)
        else:
            self._timers.cancel(slot)
        if self._hooks is not None:
            self._hooks.connected(slot)

    def opened(self, slot: int, patience_ns: int, resumption: Resumption | None) -> None:
        """See `listener.Sessions`."""
        self._watchdog_ns = patience_ns
        self.transmit(slot, self._dialect.join(self._opening.variables(slot), resumption))

    def heard(self, slot: int, now_ns: int) -> None:
        """See `listener.Sessions`."""
        if self.slots.state[slot] == LIVE and self._watchdog_ns:
            self._timers.arm(slot, now_ns + self._watchdog_ns)

    def reached(self, slot: int, now_ns: int) -> None:
        """See `listener.Sessions`."""
        if self.slots.awaits_canary[slot]:
            self.slots.awaits_canary[slot] = 0
            if self.slots.state[slot] == LIVE:
                self.outages.recovered(slot, now_ns)

    # --- sending -----------------------------------------------------------------------------------------------------

    def send(self, slot: int, frames: bytes) -> bool:
        """Send whole frames on a live slot; False when it is not live or was lost by trying."""
        return self.slots.state[slot] == LIVE and self.transmit(slot, frames)

    def transmit(self, slot: int, frames: bytes) -> bool:
        reason = self._wires.send(slot, frames)
        if reason is not None:
            self.lose(slot, reason)
        return reason is None

    def flush(self, slot: int) -> bool:
        """Send what waited for room; False when the slot was lost by it."""
        reason = self._wires.flush(slot)
        if reason is not None:
            self.lose(slot, reason)
        return reason is None

    # --- going -------------------------------------------------------------------------------------------------------

    def lose(self, slot: int, reason: str, hint_s: float | None = None) -> None:
        """End a connection that failed or was dropped, and plan its return."""
        now = self._clock()
        live = self.slots.state[slot] == LIVE
        self.account.ended(reason, now, was_live=live)
        self._leave(slot, now)
        self.plan_return(slot, now, hint_s)
        if live and self._hooks is not None:
            self._hooks.disconnected(slot, reason)

    def plan_return(self, slot: int, now: int, hint_s: float | None = None) -> None:
        """Have a client whose connection has ended come back when the policy says, or never."""
        wait_s = next_wait_s(self._policy, self.slots.attempt[slot], hint_s, self._rng)
        if wait_s is None:
            self.put_to_rest(slot)
            return
        self.slots.attempt[slot] = min(self.slots.attempt[slot] + 1, 65_535)
        self.slots.set(slot, WAITING)
        self.slots.planned[slot] = now + round(wait_s * NS_PER_S)
        self._timers.arm(slot, self.slots.planned[slot])

    def _leave(self, slot: int, now: int, *, reset: bool = False) -> None:
        """Close the connection and settle its books; the state is the caller's to set."""
        live = self.slots.state[slot] == LIVE
        if self.slots.state[slot] >= JOINING:
            self.outages.dropped(slot, now, was_subscribed=live)
        self._listener.forget(slot)
        self._subscribing.drop(slot, now)
        self.slots.awaits_canary[slot] = 0
        self._opening.forget(slot)
        self._wires.close(slot, reset=reset)

    def drop(self, slots: Iterable[int], *, reset: bool = False) -> int:
        """Fault: close live connections from our side (close frame and FIN, or RST); they come back."""
        lost = [slot for slot in slots if self.slots.state[slot] == LIVE]
        for slot in lost:
            if reset:
                self._wires.close(slot, reset=True)
            else:
                self._wires.send(slot, self._dialect.close(1001))
            self.lose(slot, "fault_drop")
        return len(lost)
