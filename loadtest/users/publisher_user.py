"""`PublisherUser`: publishes by an open-loop schedule, on connections of its own that come back fast.

    schedule --s_m--> wait --> marker (scheduled time, lateness) --> event or HTTP call --> announced to all ledgers
    master --canary, s_m = when it was ordered--^

Laws: the schedule never waits for the system; a publish that finds no live connection is `unsent`, not late, and is
expected by nobody. One publisher owns a channel, so its sequence numbers are dense. The publishers' connections are not
part of the population and reconnect at a fixed short pace: they carry the canary. A canary that the master orders is
the one publish outside the schedule (closed loop, see `canary`); it is numbered apart, since a stream's scheduled times
ascend with its numbers and the schedule may be late.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator, Mapping, Sequence
from http.client import HTTPException
from typing import Any, ClassVar

import gevent
from gevent.pool import Group, Pool
from geventhttpclient import HTTPClient
from locust import User
from locust.env import Environment

from loadtest.clock import NS_PER_S
from loadtest.errors import LoadtestError
from loadtest.herd.herd import Herd
from loadtest.herd.listener import FIRST_FREE_REQUEST
from loadtest.metrics.ledger import Announced
from loadtest.pacing.arrivals import arrival_times
from loadtest.profile.model import Profile
from loadtest.protocol.events import Acked, Delivered
from loadtest.protocol.marker import Marker, format_marker
from loadtest.protocol.template import Template
from loadtest.users.attach import bridge_of, profile_of
from loadtest.users.build import make_dialect
from loadtest.users.canary_order import CanaryOrder
from loadtest.users.herd_user import give_up, hold, own_tasks

POLL_S = 0.02
YIELD_EVERY = 16
MAX_UNANSWERED = 100_000
MAX_CALLS = 1_000


class PublisherUser(User):
    """Publish what `profile.publish` describes.

    Attributes:
        profile: as `HerdUser.profile`.
    """

    abstract = True
    fixed_count = 1
    tasks = [hold]  # noqa: RUF012 - Locust makes a list of its own for each class
    publishes: ClassVar[bool] = True
    profile: ClassVar[str | Mapping[str, Any] | Profile | None] = None

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.tasks = own_tasks(self)
        self._greenlet_of_schedule: gevent.Greenlet | None = None
        self._greenlets_of_canaries = Group()

    def on_start(self) -> None:
        """Connect, and publish whenever the master says so."""
        self._bridge = bridge_of(self.environment)
        self._clock = self._bridge.clock
        self._born_ns = self._clock()  # what was due before is nobody's: it is not late
        try:
            self._plan = profile_of(self.environment, type(self))
            self._prepare()
        except LoadtestError as error:
            give_up(self, error)

    def _prepare(self) -> None:
        publish = self._plan.publish
        names = self._plan.channel_names
        first, step = (self._bridge.number, self._bridge.of) if self._bridge.role == "publisher" else (0, 1)
        self._channels = range(first, len(names), step)
        self._regular = _Stream(self._bridge.next_epoch())
        self._canaries = _Stream(self._bridge.next_epoch())
        self._variables = dict(self._plan.variables(self._plan.population.connections + first, self._bridge.run))
        self._variables["padding"] = "x" * publish.payload_bytes
        self._way: _ByEvent | _ByHttp = _ByHttp(self) if publish.via == "http" else _ByEvent(self)
        self._greenlet_of_schedule = gevent.spawn(self._run)
        if self._plan.publishes:
            self._bridge.canary = self.canary

    def on_stop(self) -> None:
        """Stop publishing and leave."""
        if self._greenlet_of_schedule is not None:
            self._greenlet_of_schedule.kill(block=False)
            self._greenlets_of_canaries.kill(block=False)
            self._way.stop()
        if self._bridge.canary == self.canary:
            self._bridge.canary = None

    def canary(self, order: CanaryOrder) -> None:
        """Publish once more to those of the ordered channels that are this publisher's; return at once."""
        self._greenlets_of_canaries.spawn(self._obey, order)

    def _obey(self, order: CanaryOrder) -> None:
        mine = [channel for channel in range(order.first, order.first + order.number) if channel in self._channels]
        for number, channel in enumerate(mine, 1):
            self._publish(channel, order.at_ns, self._canaries)
            if number % YIELD_EVERY == 0:
                gevent.sleep(0)

    def _run(self) -> None:
        while True:
            start_ns = self._bridge.publish_from_ns
            if start_ns is None or not self._plan.publish_rate_per_s:
                gevent.sleep(POLL_S)
                continue
            for number, (sched_ns, channel) in enumerate(self._schedule(max(start_ns, self._born_ns))):
                wait_ns = sched_ns - self._clock()
                if wait_ns > 0:
                    gevent.sleep(wait_ns / NS_PER_S)
                elif number % YIELD_EVERY == 0:
                    gevent.sleep(0)
                if self._bridge.publish_from_ns != start_ns:
                    break
                self._publish(channel, sched_ns, self._regular)
            else:
                gevent.sleep(POLL_S)  # no channel of this publisher's has a rate: nothing to publish here

    def _schedule(self, start_ns: int) -> Iterator[tuple[int, int]]:
        """Yield (scheduled time, channel) in order of time: each channel group has a schedule of its own."""
        groups = zip(self._plan.channels.spans, self._plan.publish_rates_per_s, strict=True)
        streams = []
        for number, (span, rate_per_s) in enumerate(groups):
            mine = [channel for channel in self._channels if span.first <= channel < span.first + span.count]
            if mine and rate_per_s > 0:
                streams.append(self._group_schedule(start_ns, mine, rate_per_s * len(mine) / span.count, number))
        return heapq.merge(*streams)

    def _group_schedule(
        self, start_ns: int, channels: Sequence[int], rate_per_s: float, group: int
    ) -> Iterator[tuple[int, int]]:
        publish = self._plan.publish
        rng = random.Random(f"{self._plan.seed}/publish/{self._bridge.number}/{group}")
        times = arrival_times(publish.arrival, rate_per_s, rng, publish.burst_every_s)
        for number, time_s in enumerate(times):
            yield start_ns + round(time_s * NS_PER_S), channels[number % len(channels)]

    def _publish(self, channel: int, sched_ns: int, stream: _Stream) -> None:
        seq = stream.sent.get(channel, 0)
        late_ns = max(0, self._clock() - sched_ns)
        variables = self._variables
        variables["channel"] = self._plan.channel_names[channel]
        variables["channel_index"] = str(channel)
        variables["seq"] = str(seq)
        variables["marker"] = format_marker(Marker(self._bridge.run, channel, stream.epoch, seq, sched_ns, late_ns))
        self._bridge.publishing.lateness.record(late_ns)
        if self._way.publish(variables, Announced(channel, stream.epoch, seq, sched_ns, late_ns)):
            stream.sent[channel] = seq + 1
        else:
            self._bridge.publishing.unsent += 1


class _Stream:
    """How many messages of one epoch were sent, by channel: the next one's number."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.sent: dict[int, int] = {}


class _ByEvent:
    """Publish by a client's message, on whichever of the publisher's connections lives; next one each time."""

    def __init__(self, user: PublisherUser) -> None:
        self._user = user
        bridge, profile = user._bridge, user._plan
        self._bridge = bridge
        self._dialect = make_dialect(profile)
        size = profile.publish.connections
        self._sent_ns: dict[int, int] = {}
        self._number = 0
        self.herd: Herd = bridge.herds.room(type(user), profile, listening=False, hooks=self, connections=size)
        first = profile.population.connections + bridge.number * size
        self._slots = self.herd.add(range(first, first + size))
        self._next = 0
        bridge.when_go(self._connect)

    def _connect(self, start_ns: int) -> None:
        for slot in self._slots:
            self.herd.schedule(slot, start_ns)

    def publish(self, variables: Mapping[str, object], message: Announced) -> bool:
        for _ in self._slots:
            self._next = (self._next + 1) % len(self._slots)
            slot = self._slots[self._next]
            if self.herd.is_live(slot):
                self._number = (self._number + 1) % MAX_UNANSWERED
                frame = self._dialect.publish(variables, FIRST_FREE_REQUEST + self._number)
                if self.herd.send(slot, frame):
                    self._sent_ns[self._number] = self._bridge.clock()
                    self._bridge.announce(message)
                    return True
        return False

    def stop(self) -> None:
        self.herd.release(self._slots)

    def connected(self, slot: int) -> None:
        """Nothing to do: `publish` looks for live slots."""

    def message(self, slot: int, message: Delivered) -> None:
        """A publisher does not listen."""

    def acked(self, slot: int, answer: Acked) -> None:  # noqa: ARG002 - the contract's argument
        """Measure the round trip of a publish."""
        sent_ns = None if answer.id is None else self._sent_ns.pop(answer.id - FIRST_FREE_REQUEST, None)
        if sent_ns is not None:
            self.herd.account.ack.record(self._bridge.clock() - sent_ns)
            if not answer.ok:
                self._bridge.publishing.failures["refused"] += 1

    def disconnected(self, slot: int, reason: str) -> None:
        """It comes back by itself."""


class _ByHttp:
    """Publish by an HTTP call, in a bounded pool of greenlets; a call that fails was no publish."""

    def __init__(self, user: PublisherUser) -> None:
        self._bridge = user._bridge
        request = user._plan.publish.http
        assert request is not None
        self._method = request.method
        self._url = Template(request.url)
        self._headers = {name: Template(value) for name, value in request.headers.items()}
        self._body = None if request.body is None else Template(request.body)
        self._pool = Pool(MAX_CALLS)
        self._clients: dict[str, HTTPClient] = {}
        self._concurrency = user._plan.publish.connections

    def publish(self, variables: Mapping[str, object], message: Announced) -> bool:
        if self._pool.full():
            return False
        url = str(self._url.render(variables))
        headers = {name: str(value.render(variables)) for name, value in self._headers.items()}
        body = b"" if self._body is None else self._body.json(variables)
        headers.setdefault("Content-Type", "application/json")
        self._pool.spawn(self._call, url, headers, body, message)
        return True

    def _call(self, url: str, headers: dict[str, str], body: bytes, message: Announced) -> None:
        scheme, _, rest = url.partition("://")
        host, _, path = rest.partition("/")
        origin = f"{scheme}://{host}"
        client = self._clients.get(origin)
        if client is None:
            client = self._clients[origin] = HTTPClient.from_url(origin, concurrency=self._concurrency)
        try:
            response = client.request(self._method, "/" + path, body, headers)
            response.read()
        except (OSError, HTTPException) as error:
            self._bridge.publishing.failures[type(error).__name__.lower()] += 1
            return
        if 200 <= response.status_code < 300:
            self._bridge.announce(message)
        else:
            self._bridge.publishing.failures[f"http_{response.status_code}"] += 1

    def stop(self) -> None:
        self._pool.kill(block=False)
        for client in self._clients.values():
            client.close()
