"""The herd: all connections of one kind in one process, as rows ("slots") of parallel arrays on one poller.

    turn():  poller --ready--> quick slots: read, look up, enter in the books          (the hot loop)
                           \\-> other slots: `_attend` -> Opening or events
    tick():  timer wheel --> connect, retry, give up, ping watchdog

Laws
 1. No object, greenlet or closure per connection.
 2. A turn is bounded (256 events), so that whoever shares the process gets its turn.
 3. A peer's fault is counted by reason and ends that connection only; nothing a peer sends ends the herd.
 4. Every attempt ends in exactly one of: live, a counted failure, given up by us.
"""

from __future__ import annotations

import os
import random
from array import array
from collections import deque
from collections.abc import Iterable, Sequence

from loadtest.clock import NS_PER_MS, NS_PER_S, Clock, now_ns
from loadtest.errors import ProtocolError, RemoteProtocolError
from loadtest.herd import sockets
from loadtest.herd.account import Account
from loadtest.herd.addresses import SourcePool
from loadtest.herd.clients import Clients, Hooks, Settings
from loadtest.herd.interner import Interner
from loadtest.herd.opening import Opening
from loadtest.herd.outage import Outage
from loadtest.herd.poller import EPOLLERR, EPOLLHUP, EPOLLOUT, EPOLLRDHUP, Poller
from loadtest.herd.states import CONNECTING, IDLE, IN_FLIGHT, JOINING, LIVE, SUBSCRIBING, TIMEOUT_REASON, WAITING
from loadtest.herd.timers import TimerWheel
from loadtest.herd.wires import READ_BYTES, Wires
from loadtest.metrics.book import Book
from loadtest.metrics.ledger import Ledger
from loadtest.pacing.reconnect import ReconnectPolicy
from loadtest.protocol.dialect import Dialect
from loadtest.protocol.events import Acked, Closed, Delivered, Event, Joined, Left, Opened, Partial, Pinged, Refused
from loadtest.protocol.frames import BINARY, TEXT, MessageReader

MAX_EVENTS = 256
TICK_NS = 10 * NS_PER_MS
CONNECT_BUDGET_NS = 4 * NS_PER_MS
FIRST_FREE_REQUEST = 1000
"""Request numbers below are the herd's own subscriptions (the group's number); callers number from here."""

_ENDED = EPOLLRDHUP | EPOLLHUP | EPOLLERR


class Herd:
    """Hold connections, keep them alive, bring them back, and account for every message.

    Args:
        poller: an empty epoll-like object, owned by this herd from now on.
        opening: how a connection becomes a session. ledger: None for a herd that only publishes.
        policy: when a lost client comes back. rng: its jitter.
        hooks: told of every event; a herd without hooks is faster.
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
    ) -> None:
        self.poller = poller
        self.account = Account()
        self.ledger = ledger
        self._clock = clock
        self._clients = clients
        self._dialect = dialect
        self._opening = opening
        self._policy = policy
        self._sources = SourcePool(sources)
        self._settings = settings
        self._rng = rng
        self._hooks = hooks
        self._groups = clients.groups
        self._interner = Interner(dialect, self._books_of)
        self._wires = Wires(poller)
        opening.use(self._wires)
        self._timers = TimerWheel(clock(), TICK_NS)
        self._readers: dict[int, MessageReader] = {}
        self._attachments: dict[int, tuple[Partial, list[bytes]]] = {}
        self._queue: deque[int] = deque()
        self._outages: list[Outage] = []
        self._watchdog_ns = 0
        self._state = bytearray()
        self._pending = bytearray()
        self._awaits_canary = bytearray()
        self._attempt = array("H")
        self._index = array("q")
        self._planned = array("q")
        self._begun = array("q")
        self._connected = array("q")
        self._live_since = array("q")
        self._lost_since = array("q")
        self._dropped = array("q")
        self._back = array("q")
        self.population = [0] * (LIVE + 1)

    # --- slots ---------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._state)

    def add(self, indexes: Iterable[int]) -> range:
        """Make a slot for each client index; they stay idle until scheduled."""
        first = len(self._state)
        self._index.extend(indexes)
        slots = len(self._index)
        more = slots - first
        for column in (self._state, self._pending, self._awaits_canary):
            column.extend(bytes(more))
        for times in (self._attempt, self._planned, self._begun, self._connected):
            times.extend([0] * more)
        for times in (self._live_since, self._lost_since, self._dropped, self._back):
            times.extend([0] * more)
        self.population[IDLE] += more
        self._wires.grow(slots)
        self._timers.grow(slots)
        for outage in self._outages:
            outage.grow(slots)
        if self.ledger is not None:
            self.ledger.grow(slots * self._groups)
            for slot in range(first, slots):
                for group, channel in enumerate(self._clients.channels(self._index[slot])):
                    if channel >= 0:
                        self.ledger.assign(slot * self._groups + group, channel)
        return range(first, slots)

    def schedule(self, slot: int, at_ns: int) -> None:
        """Connect an idle slot at `at_ns` (open loop: lateness is counted from there)."""
        if self._state[slot] == IDLE:
            self._set(slot, WAITING)
            self._planned[slot] = at_ns
            self._timers.arm(slot, at_ns)

    def index(self, slot: int) -> int:
        """Return the client index of a slot."""
        return self._index[slot]

    def is_live(self, slot: int) -> bool:
        """Whether the slot is in session with all its subscriptions."""
        return self._state[slot] == LIVE

    def live_slots(self) -> list[int]:
        """Return all slots in session."""
        return [slot for slot, state in enumerate(self._state) if state == LIVE]

    def release(self, slots: Iterable[int]) -> None:
        """Leave for good: an orderly close for those in session, nothing scheduled any more."""
        now = self._clock()
        for slot in slots:
            if self._state[slot] == LIVE:
                self._wires.send(slot, self._dialect.close())
            self._leave(slot, now)
            self._set(slot, IDLE)
            self._timers.cancel(slot)

    def _set(self, slot: int, state: int) -> None:
        self.population[self._state[slot]] -= 1
        self.population[state] += 1
        self._state[slot] = state

    @property
    def in_flight(self) -> int:
        """Attempts under way."""
        return sum(self.population[state] for state in IN_FLIGHT)

    # --- the loop ------------------------------------------------------------------------------------------------

    def turn(self) -> int:
        """Handle what is ready now, 256 events at most; return how many there were."""
        ready = self.poller.poll(0, MAX_EVENTS)
        wires = self._wires
        quick = wires.quick
        parcels = self._interner.young
        clock, read, groups = self._clock, os.read, self._groups
        held: list[Book | None] = self.ledger.held if self.ledger is not None else []
        for fd, mask in ready:
            slot = quick[fd]
            if slot < 0:
                slot = wires.slot_of[fd]
                if slot >= 0:
                    self._attend(slot, mask)
                continue
            try:
                data = read(fd, READ_BYTES)
            except BlockingIOError:
                if mask & EPOLLOUT:
                    self._flush(slot)
                continue
            except OSError as error:
                self._lose(slot, sockets.reason_of(error.errno))
                continue
            now = clock()
            parcel = parcels.get(data)
            if parcel is not None and parcel.books is not None:
                for book in parcel.books:
                    subscription = slot * groups + book.group
                    if held[subscription] is book.prev:
                        held[subscription] = book
                        book.times.append(now)
                    else:
                        self._enter(slot, subscription, book, now)
            elif not data:
                self._lose(slot, "eof")
                continue
            else:
                self._chunk(slot, data, now)
            if (mask & _ENDED or len(data) == READ_BYTES) and wires.slot_of[fd] == slot:
                self._attend(slot, mask)
        return len(ready)

    def tick(self) -> bool:
        """Do what is due by the clock; return True when work is left over for the next call (bounded turn)."""
        start = self._clock()
        for slot in self._timers.expired(start):
            self._due(slot, start)
            if self._clock() - start > CONNECT_BUDGET_NS:
                return True
        room = self._settings.max_in_flight - self.in_flight
        while self._queue and room > 0:
            slot = self._queue.popleft()
            if self._state[slot] == WAITING:
                self._connect(slot)
                room -= 1
                if self._clock() - start > CONNECT_BUDGET_NS:
                    return True
        return False

    def _due(self, slot: int, now: int) -> None:
        state = self._state[slot]
        if state == WAITING:
            if self.in_flight < self._settings.max_in_flight:
                self._connect(slot)
            else:
                self.account.counts["postponed"] += 1
                self._queue.append(slot)
        elif state == SUBSCRIBING and not self._dialect.acked_subscribe:
            self._all_subscribed(slot, now)
        elif state in TIMEOUT_REASON:
            self._lose(slot, TIMEOUT_REASON[state])

    # --- coming ----------------------------------------------------------------------------------------------------

    def _connect(self, slot: int) -> None:
        now = self._clock()
        self.account.counts["attempts"] += 1
        self.account.lateness.record(max(0, now - self._planned[slot]))
        for outage in self._outages:
            outage.attempted(now)
        self._begun[slot] = now
        self._set(slot, CONNECTING)
        self._timers.arm(slot, now + self._settings.connect_ns)
        reason = self._opening.begin(slot, self._index[slot], self._sources.take())
        if reason is not None:
            self._lose(slot, reason)

    def _attend(self, slot: int, mask: int) -> None:
        """Look after a slot that is not quick: opening, TLS, or a reader with an unfinished message."""
        if mask & EPOLLOUT and self._state[slot] != CONNECTING and not self._flush(slot):
            return
        try:
            if self._state[slot] < JOINING:
                if not self._open(slot):
                    return
            else:
                data, end = self._wires.receive(slot)
                if data:
                    self._chunk(slot, data, self._clock())
                if end is not None and self._wires.is_open(slot):
                    self._lose(slot, end)
        except ProtocolError as error:
            self._lose(slot, error.reason)

    def _open(self, slot: int) -> bool:
        """Advance a connection that is not in session yet; return False when it is lost."""
        step = self._opening.advance(slot, self._state[slot], self._clock())
        if step.failed is not None:
            self._lose(slot, step.failed)
            return False
        if step.state != self._state[slot]:
            self._set(slot, step.state)
        if step.state == JOINING:
            now = self._clock()
            self._connected[slot] = now
            for outage in self._outages:
                outage.connected(slot, now)
            self._wires.make_quick(slot, on=True)
            greeting = self._dialect.greeting(self._opening.variables(slot))
            if greeting and not self._send(slot, greeting):
                return False
            if self._dialect.opens_with_upgrade:
                self._joined(slot, now)
            if step.rest and self._wires.is_open(slot):
                self._chunk(slot, step.rest, now)
        return True

    def _joined(self, slot: int, now: int) -> None:
        self.account.counts["connected"] += 1
        self.account.connect.record(now - self._begun[slot])
        self._attempt[slot] = 0
        self._set(slot, SUBSCRIBING)
        variables = dict(self._opening.variables(slot))
        frames = b""
        wanted = 0
        for group, channel in enumerate(self._clients.channels(self._index[slot])):
            if channel >= 0:
                variables["channel"] = self._clients.channel_name(channel)
                variables["channel_index"] = channel
                frames += self._dialect.subscribe(variables, group)
                wanted += 1
        self._pending[slot] = wanted
        self._begun[slot] = now
        if frames and not self._send(slot, frames):
            return
        if not frames:
            self._all_subscribed(slot, now)
        else:
            patience = self._settings.subscribe_ns if self._dialect.acked_subscribe else self._settings.settle_ns
            self._timers.arm(slot, now + patience)

    def _subscribed(self, slot: int, answer: Acked, now: int) -> None:
        """One subscription is acknowledged."""
        if not answer.ok:
            self._lose(slot, "subscribe_refused")
            return
        channels = self._clients.channels(self._index[slot])
        group = answer.id
        if group is None:
            wanted = [number for number, channel in enumerate(channels) if channel >= 0]
            group = wanted[len(wanted) - self._pending[slot]]
        if group >= len(channels) or channels[group] < 0:
            return
        if self.ledger is not None:
            self.ledger.subscribed(slot * self._groups + group, now)
        self._pending[slot] -= 1
        if not self._pending[slot]:
            self._live(slot, now)

    def _all_subscribed(self, slot: int, now: int) -> None:
        """Nothing acknowledges subscriptions (or there are none): all count from now."""
        if self.ledger is not None:
            for group, channel in enumerate(self._clients.channels(self._index[slot])):
                if channel >= 0:
                    self.ledger.subscribed(slot * self._groups + group, now)
        self._pending[slot] = 0
        self._live(slot, now)

    def _live(self, slot: int, now: int) -> None:
        self.account.counts["subscribed"] += 1
        self.account.subscribe.record(now - self._begun[slot])
        self._set(slot, LIVE)
        self._opening.forget(slot)
        self._live_since[slot] = now
        if self._settings.canary and self._groups:
            self._awaits_canary[slot] = 1
        else:
            self._recovered(slot, now)
        if self._watchdog_ns:
            self._timers.arm(slot, now + self._watchdog_ns)
        else:
            self._timers.cancel(slot)
        if self._hooks is not None:
            self._hooks.connected(slot)

    def _recovered(self, slot: int, now: int) -> None:
        self._awaits_canary[slot] = 0
        self._back[slot] = now
        for outage in self._outages:
            outage.recovered(slot, now)

    # --- what peers say --------------------------------------------------------------------------------------------

    def _books_of(self, events: tuple[Event, ...]) -> tuple[Book, ...] | None:
        """Find the books of a new chunk if it is nothing but messages of this run and nobody else wants to see them."""
        if self.ledger is None or self._hooks is not None:
            return None
        books = []
        for event in events:
            if type(event) is not Delivered or event.marker is None or event.marker.run != self._settings.run:
                return None
            book = self.ledger.book(*event.marker[1:], self._clock())
            if book is None:
                return None
            books.append(book)
        return tuple(books)

    def _chunk(self, slot: int, data: bytes, now: int) -> None:
        """Read a chunk that the hot loop did not know."""
        try:
            if slot not in self._readers and slot not in self._attachments:
                parcel = self._interner.find(data)
                if parcel is not None:
                    self._handle(slot, parcel.events, now)
                    return
                self._readers[slot] = MessageReader()
                self._wires.make_quick(slot, on=False)
            self._read_slowly(slot, data, now)
        except ProtocolError as error:
            self._lose(slot, error.reason)

    def _read_slowly(self, slot: int, data: bytes, now: int) -> None:
        reader = self._readers.get(slot) or MessageReader()
        self._readers[slot] = reader
        for frame in reader.feed(data):
            partial = self._attachments.get(slot)
            if partial is not None and frame.opcode == BINARY:
                partial[1].append(frame.payload)
                if len(partial[1]) < partial[0].attachments:
                    continue
                del self._attachments[slot]
                events = self._dialect.decode_binary(*partial)
            elif partial is not None and frame.opcode == TEXT:
                raise RemoteProtocolError(
                    "a text message came before the attachments it interrupts", "malformed_packet"
                )
            else:
                events = self._dialect.decode(frame)
            self._handle(slot, events, now)
            if not self._wires.is_open(slot):
                return
        if not reader.pending and slot not in self._attachments:
            del self._readers[slot]
            self._wires.make_quick(slot, on=True)

    def _handle(self, slot: int, events: tuple[Event, ...], now: int) -> None:
        for event in events:
            kind = type(event)
            if kind is Delivered:
                self._deliver(slot, event, now)  # type: ignore[arg-type]
            elif kind is Pinged:
                if not self._send(slot, event.reply):  # type: ignore[union-attr]
                    return
                if self._state[slot] == LIVE and self._watchdog_ns:
                    self._timers.arm(slot, now + self._watchdog_ns)
            elif not self._converse(slot, event, now):
                return

    def _converse(self, slot: int, event: Event, now: int) -> bool:
        """Handle what is said at the beginning and the end of a session; return False when the connection is gone."""
        if isinstance(event, Opened):
            self._watchdog_ns = round((event.ping_interval_s + event.ping_timeout_s) * NS_PER_S)
            return self._send(slot, self._dialect.join(self._opening.variables(slot)))
        if isinstance(event, Joined):
            if self._state[slot] == JOINING:
                self._joined(slot, now)
        elif isinstance(event, Acked):
            if self._state[slot] == SUBSCRIBING and (event.id is None or event.id < FIRST_FREE_REQUEST):
                self._subscribed(slot, event, now)
            elif self._hooks is not None:
                self._hooks.acked(slot, event)
        elif isinstance(event, Refused):
            self._lose(slot, "session_refused")
        elif isinstance(event, Left):
            self._lose(slot, "disconnected_by_server")
        elif isinstance(event, Closed):
            self._wires.send(slot, event.reply)
            self._lose(slot, f"close_{event.code}")
        elif isinstance(event, Partial):
            self._attachments[slot] = (event, [])
        return self._wires.is_open(slot)

    def _deliver(self, slot: int, message: Delivered, now: int) -> None:
        marker = message.marker
        if marker is not None and self.ledger is not None:
            if marker.run == self._settings.run:
                book = self.ledger.book(*marker[1:], now)
                if book is not None:
                    self._enter(slot, slot * self._groups + book.group, book, now)
            else:
                self.account.counts["foreign"] += 1
        else:
            self.account.counts["received"] += 1
        if self._hooks is not None:
            self._hooks.message(slot, message)

    def _enter(self, slot: int, subscription: int, book: Book, now: int) -> None:
        """Enter a delivery that is not simply the next in order."""
        assert self.ledger is not None
        if self.ledger.held[subscription] is book.prev:
            self.ledger.held[subscription] = book
            book.times.append(now)
        else:
            self.ledger.received(subscription, book, now)
        if self._awaits_canary[slot] and self._state[slot] == LIVE:
            self._recovered(slot, now)

    # --- sending -----------------------------------------------------------------------------------------------------

    def send(self, slot: int, frames: bytes) -> bool:
        """Send whole frames on a live slot; False when it is not live or was lost by trying."""
        return self._state[slot] == LIVE and self._send(slot, frames)

    def _send(self, slot: int, frames: bytes) -> bool:
        reason = self._wires.send(slot, frames)
        if reason is not None:
            self._lose(slot, reason)
        return reason is None

    def _flush(self, slot: int) -> bool:
        reason = self._wires.flush(slot)
        if reason is not None:
            self._lose(slot, reason)
        return reason is None

    # --- going -------------------------------------------------------------------------------------------------------

    def _lose(self, slot: int, reason: str) -> None:
        """End a connection that failed or was dropped, and plan its return."""
        now = self._clock()
        live = self._state[slot] == LIVE
        if live:
            self.account.drops[reason] += 1
        else:
            self.account.failures[reason] += 1
        self._leave(slot, now)
        wait_s = self._policy.wait_s(self._attempt[slot], self._rng)
        if wait_s is None:
            self._set(slot, IDLE)
            self._timers.cancel(slot)
        else:
            self._attempt[slot] = min(self._attempt[slot] + 1, 65_535)
            self._set(slot, WAITING)
            self._planned[slot] = now + round(wait_s * NS_PER_S)
            self._timers.arm(slot, self._planned[slot])
        if live and self._hooks is not None:
            self._hooks.disconnected(slot, reason)

    def _leave(self, slot: int, now: int, *, reset: bool = False) -> None:
        """Close the connection and settle its books; the state is the caller's to set."""
        live = self._state[slot] == LIVE
        if self._state[slot] >= JOINING:
            for outage in self._outages:
                outage.dropped(slot, now, was_subscribed=live)
        if live:
            self.account.counts["drops"] += 1
            self.account.first_drop_ns = self.account.first_drop_ns or now
            self._dropped[slot] = now
            self._lost_since[slot] = self._live_since[slot]
        if self.ledger is not None:
            for subscription in range(slot * self._groups, (slot + 1) * self._groups):
                self.ledger.dropped(subscription, now)
        self._awaits_canary[slot] = 0
        self._readers.pop(slot, None)
        self._attachments.pop(slot, None)
        self._opening.forget(slot)
        self._wires.close(slot, reset=reset)

    def drop(self, slots: Iterable[int], *, reset: bool = False) -> int:
        """Fault: close live connections from our side (FIN after a close frame, or RST); they come back by the policy."""
        count = 0
        for slot in slots:
            if self._state[slot] == LIVE:
                if reset:
                    self._wires.close(slot, reset=True)
                else:
                    self._wires.send(slot, self._dialect.close(1001))
                self._lose(slot, "fault_drop")
                count += 1
        return count

    # --- mass disconnects ----------------------------------------------------------------------------------------------

    def follow(self, event_id: str, t0_ns: int) -> Outage:
        """Follow a mass disconnect that began (or will begin) at `t0_ns`; call at or after that time.

        P is who was subscribed just before t0; what happened since then is made up for from the slots' own times.
        """
        outage = Outage(event_id, t0_ns, len(self))
        for slot, state in enumerate(self._state):
            dropped = self._dropped[slot]
            if dropped > t0_ns and self._lost_since[slot] <= t0_ns:
                outage.enter(slot)
                outage.dropped(slot, dropped, was_subscribed=True)
                if state >= JOINING:
                    outage.connected(slot, self._connected[slot])
                if state == LIVE and not self._awaits_canary[slot]:
                    outage.recovered(slot, self._back[slot])
            elif state == LIVE and self._live_since[slot] <= t0_ns:
                outage.enter(slot)
        self._outages.append(outage)
        return outage

    def unfollow(self, outage: Outage) -> None:
        """Stop following."""
        self._outages.remove(outage)
