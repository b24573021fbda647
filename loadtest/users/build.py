"""From a profile to the parts of a herd: the one place where profile, protocol, pacing and herd meet."""

from __future__ import annotations

import random
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from loadtest.clock import NS_PER_MS, NS_PER_S, Clock, now_ns
from loadtest.errors import UsageError
from loadtest.herd import sharing
from loadtest.herd.addresses import automatic, expand
from loadtest.herd.clients import Bootstrap, Hooks, Settings
from loadtest.herd.herd import Herd
from loadtest.herd.opening import Opening
from loadtest.herd.poller import Poller
from loadtest.herd.sockets import Target, is_ours
from loadtest.metrics import bystanders
from loadtest.metrics.ledger import Ledger
from loadtest.model.storm import settled_waits_s
from loadtest.pacing import reconnect
from loadtest.profile.model import Profile
from loadtest.profile.target import Tls
from loadtest.protocol.dialect import Dialect
from loadtest.protocol.socketio_dialect import SocketIODialect
from loadtest.protocol.websocket_dialect import WebSocketDialect
from loadtest.users.clients import ProfileClients, channel_groups

MOST_IN_FLIGHT = 1024
TICK_NS, FINEST_TICK_NS = 10 * NS_PER_MS, 2 * NS_PER_MS
"""How late a timer may be: 10 ms of the system's time, as far as a worker can tell moments apart."""
IN_FLIGHT_OF_ALL = 8192
"""Attempts under way over all workers: more only wait longer for each other, past a gateway's patience."""
PUBLISHER_RETRY_S = 0.2
"""Publishers come back at this pace whatever the population does: they carry the canary."""
TRACED_PER_S = 200
"""Publishes per second up to which the time to k % is followed for every message; above, for an even sample."""


def make_dialect(profile: Profile) -> Dialect:
    """Return the dialect that the profile describes."""
    subscribe, publish = profile.subscribe, profile.publish
    if profile.target.dialect == "websocket":
        return WebSocketDialect(
            hello=profile.client.hello,
            subscribe_message=subscribe.message if subscribe else None,
            subscribe_ack=bool(subscribe and subscribe.message is not None and subscribe.ack),
            ack_path=subscribe.ack_path if subscribe else "",
            ack_equals=subscribe.ack_equals if subscribe else None,
            publish_message=publish.message,
            marker_path=publish.marker,
        )
    return SocketIODialect(
        namespace=profile.client.namespace,
        auth=profile.client.auth,
        subscribe_event=subscribe.event if subscribe else None,
        subscribe_args=subscribe.args if subscribe else (),
        subscribe_ack=bool(subscribe and subscribe.ack),
        ack_path=subscribe.ack_path if subscribe else "",
        ack_equals=subscribe.ack_equals if subscribe else None,
        publish_event=publish.event,
        publish_args=publish.args,
        publish_ack=publish.ack,
        marker_path=publish.marker,
        hint_path=profile.reconnect.hint_path or "",
    )


def tls_context(profile: Profile) -> ssl.SSLContext | None:
    """Return the TLS context of a wss:// target; certificates are verified unless the profile says `insecure`.

    Raises:
        UsageError: a certificate file that cannot be read, naming it.
    """
    if not any(url.startswith("wss:") for url in profile.target.urls) and profile.target.bootstrap is None:
        return None
    tls = profile.target.tls or Tls()
    try:
        context = ssl.create_default_context(cafile=str(profile.file(tls.ca)) if tls.ca else None)
        if tls.cert:
            context.load_cert_chain(str(profile.file(tls.cert)), str(profile.file(tls.key)) if tls.key else None)
    except (OSError, ssl.SSLError) as error:
        named = ", ".join(name for name in (tls.ca, tls.cert, tls.key) if name)
        raise UsageError(f"target.tls: the certificate files ({named}) cannot be loaded: {error}") from error
    if tls.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


@dataclass(frozen=True, slots=True)
class Plan:
    """What a worker must know beyond the profile. `worker` counts from 0 over all `workers` of the run.

    workers: each herd of a worker that has several counts as one. part: which herd of its worker, from 0.
    """

    profile: Profile
    run: str
    worker: int = 0
    workers: int = 1
    clock: Clock = now_ns
    part: int = 0

    def part_of(self, part: int, herds: int) -> Plan:
        """Return the plan of one of so many herds of this worker."""
        return replace(self, part=part, workers=self.workers * herds)


def make_herd(
    plan: Plan,
    poller: Poller,
    *,
    listening: bool,
    hooks: Hooks | None = None,
    connections: int = 0,
    kind: type[Herd] = Herd,
) -> Herd:
    """Return a herd for the population (`listening`) or for publishers; no slot in it yet.

    Args:
        kind: its class.
        connections: how many sockets it will hold at most, to choose enough source addresses.
    """
    profile = plan.profile
    dialect = make_dialect(profile)
    clients = ProfileClients(profile, dialect, plan.run, listening=listening)
    context = tls_context(profile)
    server_name = profile.target.tls.server_name if profile.target.tls else None

    def resolve(url: str) -> Target:
        target = Target.of(url, context, server_name)
        return target if profile.relay is None or not listening else target.through(profile.relay.routes)

    targets = [resolve(url) for url in profile.target.urls]
    bootstrap = None
    if profile.target.bootstrap is not None and profile.target.bootstrap.url is not None:
        asked = profile.target.bootstrap
        bootstrap = Bootstrap(resolve(asked.url or ""), tuple(asked.path.split(".")), asked.every == "once")
    policy = make_policy(profile) if listening else reconnect.policy("fixed", delay_s=PUBLISHER_RETRY_S)
    first = (bootstrap.target if bootstrap else targets[0]).address[0]
    herd = kind(
        poller=poller,
        dialect=dialect,
        clients=clients,
        opening=Opening(clients, targets, bootstrap, resolve),
        policy=policy,
        sources=_sources(profile, first, plan.worker, connections, listening=listening),
        settings=_settings(plan, listening=listening),
        ledger=make_ledger(profile) if listening else None,
        rng=random.Random(f"{profile.seed}/{plan.worker}/{listening}" + (f"/{plan.part}" if plan.part else "")),
        hooks=hooks,
        clock=plan.clock,
    )
    if listening:
        window_ns = round(bystanders.window_s(profile.recovery.window_s) * NS_PER_S)
        deadline_ns = round(profile.publish.deadline_s * NS_PER_S)
        herd.witnesses.heed(herd.slots, clients.channels, window_ns, deadline_ns)
    return herd


def make_policy(profile: Profile) -> reconnect.ReconnectPolicy:
    """Return how the population comes back: in the time of the run, and from as far away as the real clients are."""
    policy = reconnect.policy(profile.reconnect.policy, **profile.reconnect.parameters)
    if profile.scale is None:
        return policy
    return reconnect.Quickened(reconnect.Distant(policy, profile.scale.latency_s), profile.time_scale)


def cycle_s(profile: Profile) -> float | None:
    """Return the give-up time of an attempt plus the mean wait of a client that has failed often; None: they stop."""
    waits_s = settled_waits_s(make_policy(profile))
    return profile.connect_timeout_s + fmean(waits_s) if waits_s else None


def make_ledger(profile: Profile) -> Ledger:
    """Return the empty delivery ledger of one worker."""
    every = max(1, round(profile.publish_rate_per_s / TRACED_PER_S))
    return Ledger(channel_groups(profile), round(profile.publish.deadline_s * NS_PER_S), trace_every=every)


def _sources(profile: Profile, destination: str, worker: int, connections: int, *, listening: bool) -> Sequence[str]:
    """Return where connections leave from. A profile lists the addresses of all machines; each uses its own.

    Where none is its own, the population fails with that reason, and publishers, who are few, leave from anywhere.
    """
    if profile.population.source_addresses:
        listed = expand(profile.population.source_addresses)
        return tuple(address for address in listed if is_ours(address)) or (listed if listening else ())
    return automatic(destination, worker, connections)


def _settings(plan: Plan, *, listening: bool) -> Settings:
    """Return the herd's patience. Publishers carry the canary: in a scaled storm they are not as quick to give up."""
    profile = plan.profile
    subscribe = profile.subscribe
    connect_s = profile.connect_timeout_s if listening else profile.ramp.connect_timeout_s
    return Settings(
        run=plan.run,
        connect_ns=round(connect_s * NS_PER_S),
        subscribe_ns=round((subscribe.timeout_s if subscribe else 10.0) * NS_PER_S),
        settle_ns=round((subscribe.settle_s if subscribe else 0.0) * NS_PER_S),
        max_in_flight=profile.ramp.max_in_flight or min(MOST_IN_FLIGHT, max(64, IN_FLIGHT_OF_ALL // plan.workers)),
        canary=profile.publishes,
        late_acks=sharing.are_many(),
        tick_ns=max(FINEST_TICK_NS, round(TICK_NS / profile.time_scale)) if listening else TICK_NS,
    )
