"""From a config to parts: the only place that knows which part needs which.

    clients -> godserver                     (which gateway?)
            -> gateway-1..N -> api -> collections -> storage      version of shape "split"
                  ^------- broker <------'
            -> gateway-1..N (sockets + storage)                   version of shape "monolith"
               with a front, clients reach it in place of the nodes

Every part is configured through its environment; secrets go there and nowhere else.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from reference_gateway.broker.log import KEPT
from reference_gateway.health import probe_http, probe_redis
from reference_gateway.settings import TROUBLE
from reference_gateway.stack.broker import find_server, redact_url, server_command
from reference_gateway.stack.config import StackConfig
from reference_gateway.stack.data import DataFolder
from reference_gateway.stack.deploy import Tier
from reference_gateway.stack.faults.link import Link
from reference_gateway.stack.forking import Nursery
from reference_gateway.stack.front import Front
from reference_gateway.stack.part import Part
from reference_gateway.stack.ports import assign_ports
from reference_gateway.storage.location import sqlite_url
from reference_gateway.versions import Version

LOOPBACK: Final = "127.0.0.1"
#: A drain sends clients away a little slower than the others let them in, so that nobody meets a refusal.
DRAIN_SHARE: Final = 0.9
LIFETIME_S: Final = 3600.0
_REST_S_PER_LOOP: Final = 0.02  # of those that share a core: a node has one for each of its descriptor tables
_MOST_REST_S: Final = 1.0
_CROWDED_HANDSHAKE_S: Final = 30.0  # client and node are both slow to look where many share a core
_MANY_LOOPS: Final = 8  # on a core: fewer are quicker when each looks as soon as something comes
_FRONT_SPARE_S: Final = 15.0  # the front is patient for longer than the heartbeat of the nodes
_SERVERS: Final = ("broker", "broker-replica")
_WILDCARDS: Final = {"0.0.0.0": LOOPBACK, "::": "::1"}


@dataclass(frozen=True, slots=True)
class Composition:
    """All parts of one stack, in the layers they start in, and where control will listen.

    Attributes:
        brokers: the servers of the embedded broker, none when there is none or REDIS_URL names another.
        inside: the private API and the services behind it.
        nursery: what forks the gateway nodes.
        godserver: the first call of every client; last to start, so that what it hands out is there.
        gateways: nodes of all versions, in order; grows and shrinks with an autoscaler.
        another: makes one more node of the last version, with a name and a port of its own; nothing is started.
        control_port: where the supervisor's own control server will listen, on loopback.
        front: what stands in front of the gateways, if anything does; then clients know its addresses only.
        order_token: by which nodes know the stack's orders (`relocation`).
        links: relays on the ways to the embedded broker, if the config asks for them.
        outside_parts: parts that exist but are not ours, for the table (an external broker or database).
    """

    brokers: Sequence[Part]
    nursery: Nursery
    inside: Sequence[Part]
    godserver: Part
    gateways: list[Part]
    another: Callable[[], Part]
    control_port: int
    order_token: str
    front: Front | None
    outside_parts: Sequence[Mapping[str, str]]
    links: Sequence[Link] = ()

    @property
    def parts(self) -> list[Part]:
        """All parts that are ours, in the order they start in."""
        return [part for layer in self.layers for part in layer]

    @property
    def layers(self) -> list[Sequence[Part]]:
        """Parts that start side by side, layer after layer."""
        fronts = [self.front.part] if self.front is not None else []
        return [self.brokers, [*self.inside, *self.gateways], fronts, [self.godserver]]

    @property
    def tiers(self) -> Mapping[Tier, Sequence[Part]]:
        """What a deploy replaces together."""
        return {"gateway": self.gateways, "api": [part for part in self.inside if part.kind == "api"]}

    @property
    def client_urls(self) -> list[str]:
        """Where clients connect to: the front's addresses if there is one, else the nodes'."""
        return [url for urls in json.loads(self.godserver.env["RG_FLEET"]).values() for url in urls]

    @property
    def bootstrap_url(self) -> str:
        """The first address of every client."""
        return f"{self.godserver.url}/v1/bootstrap"


def compose(config: StackConfig, data: DataFolder, token: str) -> Composition:
    """Return the parts of the stack, with ports that are free now; nothing is started.

    Args:
        config: what to build.
        data: where files go.
        token: the control token, also valid for godserver's shares.

    Raises:
        SettingError: no broker can be found, or the ports do not fit.
        PortInUseError: a fixed port is taken.
    """
    return _Composer(config, data, token).compose()


class _Composer:
    def __init__(self, config: StackConfig, data: DataFolder, token: str) -> None:
        self._config = config
        self._data = data
        self._token = token
        self._session_key = secrets.token_urlsafe(32)
        self._order_token = secrets.token_urlsafe(24)
        self._embeds_broker = config.needs_broker and config.redis_url is None
        self._nodes: list[tuple[str, Version]] = []
        for version in config.versions:
            for _ in range(config.nodes):
                self._nodes.append((f"gateway-{len(self._nodes) + 1}", version))
        self._fronts = {
            version.name: f"front-{number}" for number, version in enumerate(config.versions, 1) if config.front
        }
        self._ways = self._find_ways()
        self._ports = self._assign_ports()
        self._links = [Link(*way, LOOPBACK, self._ports[_way_name(*way)], self._ports[way[1]]) for way in self._ways]

    def compose(self) -> Composition:
        return Composition(
            brokers=self._brokers(),
            nursery=self._nursery(),
            inside=[self._collections(), self._api()] if self._config.is_split else [],
            godserver=self._godserver(),
            gateways=[self._gateway(name, version) for name, version in self._nodes],
            another=self._another,
            control_port=self._ports["control"],
            order_token=self._order_token,
            front=self._front(),
            outside_parts=self._outside_parts(),
            links=self._links,
        )

    def _assign_ports(self) -> dict[str, int]:
        names = ["godserver", "control"]
        names += ["collections", "api"] if self._config.is_split else []
        names += ["broker"] if self._embeds_broker else []
        names += ["broker-replica"] if self._embeds_broker and self._is_redundant else []
        names += [name for name, _ in self._nodes]
        names += [_way_name(*way) for way in self._ways]
        names += self._fronts.values()
        public = {"godserver", *(name for name, _ in self._nodes), *self._fronts.values()}
        hosts = {name: self._config.host if name in public else LOOPBACK for name in names}
        return assign_ports(names, hosts, self._config.port_base)

    def _find_ways(self) -> list[tuple[str, str]]:
        """Return (consumer, server) of every way to the embedded broker, none unless the ways are to be relays."""
        if not self._embeds_broker or not self._config.broker_links:
            return []
        servers = _SERVERS if self._is_redundant else _SERVERS[:1]
        consumers = [*(["collections"] if self._config.is_split else []), *(name for name, _ in self._nodes)]
        ways = [(consumer, server) for consumer in consumers for server in servers]
        return ways + ([_SERVERS, _SERVERS[::-1]] if self._is_redundant else [])

    def _port_of(self, consumer: str, server: str) -> int:
        """Return where `consumer` finds `server`."""
        return self._ports.get(_way_name(consumer, server), self._ports[server])

    def _part(
        self, name: str, kind: str, module: str, env: Mapping[str, str], *, version: str = "", path: str = ""
    ) -> Part:
        public = kind in ("godserver", "gateway")
        host = self._config.host if public else LOOPBACK
        reached_at = _WILDCARDS.get(host, host)
        port = self._ports[name]
        return Part(
            name=name,
            kind=kind,
            argv=[sys.executable, "-m", module],
            env=self._environment({"RG_NODE": name, "RG_HOST": host, "RG_PORT": str(port), **env}),
            host=reached_at,
            port=port,
            url=f"{'ws' if path else 'http'}://{_authority(reached_at, port)}{path}",
            probe=probe_http,
            log_file=self._data.log_file(name),
            version=version,
            module=module if kind == "gateway" else "",
            handed=kind == "api",
        )

    def _environment(self, own: Mapping[str, str]) -> dict[str, str]:
        # DATABASE_URL and REDIS_URL reach only the parts that use them, through `own`.
        inherited = {key: value for key, value in os.environ.items() if key not in ("DATABASE_URL", "REDIS_URL")}
        return {**inherited, "PYTHONUNBUFFERED": "1", **self._config.environment, **own}

    @property
    def _database(self) -> dict[str, str]:
        """What those are told who use the database."""
        return {"DATABASE_URL": self._database_url, TROUBLE: str(self._data.trouble_file)}

    @property
    def _database_url(self) -> str:
        return self._config.database_url or sqlite_url(self._data.folder / "revisions.sqlite3")

    def _broker_urls(self, consumer: str) -> str:
        if self._config.redis_url:
            return self._config.redis_url
        servers = (name for name in _SERVERS if name in self._ports)
        return " ".join(_redis_url(self._port_of(consumer, name)) for name in servers)

    @property
    def _is_redundant(self) -> bool:
        return any(version.broker_replica for version in self._config.versions)

    def _brokers(self) -> list[Part]:
        """Return the servers of the broker: the primary, and its replica if a version wants one.

        A server that is started again is empty, so it follows the other one, whatever it was before.
        """
        if not self._embeds_broker:
            return []
        if not self._is_redundant:
            return [self._broker("broker", None, None)]
        one, two = self._port_of("broker-replica", "broker"), self._port_of("broker", "broker-replica")
        return [self._broker("broker", None, two), self._broker("broker-replica", one, one)]

    def _broker(self, name: str, follows: int | None, follows_again: int | None) -> Part:
        port, again = self._ports[name], follows_again is not None
        command = partial(server_command, find_server(), LOOPBACK, port, self._data.folder, redundant=again)
        return Part(
            name=name,
            kind="broker",
            argv=command(follows=follows),
            again=command(follows=follows_again) if again else (),
            env=self._environment({}),
            host=LOOPBACK,
            port=port,
            url=_redis_url(port),
            probe=probe_redis,
            log_file=self._data.log_file(name),
        )

    def _nursery(self) -> Nursery:
        modules = sorted({_module_of(version) for version in self._config.versions})
        return Nursery(modules, self._environment({}), self._data.log_file("nursery"))

    def _collections(self) -> Part:
        env = {**self._database, "REDIS_URL": self._broker_urls("collections")}
        if any(version.session_recovery for version in self._config.versions):
            env["RG_LOG_KEPT"] = str(KEPT)
            env["RG_PATIENT"] = str(int(self._is_redundant))
        return self._part("collections", "service", "reference_gateway.services", env)

    def _api(self) -> Part:
        env = {
            "RG_RULES": str(self._config.rules_file or self._data.rules_file),
            "RG_COLLECTIONS_URL": f"http://{LOOPBACK}:{self._ports['collections']}",
        }
        return self._part("api", "api", "reference_gateway.api", env)

    def _gateway(self, name: str, version: Version) -> Part:
        env = {
            "RG_VERSION": version.name,
            "RG_ORDER_TOKEN": self._order_token if self._config.tables == 1 else "",
            **self._config.node_environment,
            "RG_PING_INTERVAL_S": f"{self._config.ping_interval_s:g}",
            "RG_PING_TIMEOUT_S": f"{self._config.ping_timeout_s:g}",
            "RG_CAPACITY": f"{self._config.capacity_per_s / self._config.nodes:.9g}",
            "RG_HANDSHAKE_STAGES": str(self._config.handshake_stages),
            "RG_HELD_COST": f"{self._config.held_cost_per_s:.9g}",
            "RG_CROWDED": str(int(self._loops_per_core > 1)),
        }
        if version.shape == "monolith":
            env |= self._database
            if self._config.is_split:
                env |= {"REDIS_URL": self._broker_urls(name), "RG_BRIDGE": "1"}
            elif self._config.needs_broker and (version.broker_for_one_node or self._config.nodes > 1):
                env["REDIS_URL"] = self._broker_urls(name).split()[0]
        else:
            env |= {
                "REDIS_URL": self._broker_urls(name),
                "RG_API_URL": f"http://{LOOPBACK}:{self._ports['api']}",
                "RG_REUSE_PORT": "1",
                "RG_DRAIN_SECONDS": "0",
                "RG_DRAIN_FILE": str(self._data.drain_file),
                "RG_TABLES": str(self._config.tables),
                "RG_REST_S": f"{self._rest_s:.4f}",
            }
            if self._rest_s:
                env["RG_HANDSHAKE_TIMEOUT_S"] = f"{_CROWDED_HANDSHAKE_S:g}"
            if version.admission:
                env["RG_ADMIT_PER_S"] = f"{self._config.node_admits_per_s:.9g}"
                env["RG_RETRY_SLOTS"] = str(int(version.retry_slots))
            if version.handover:
                env["RG_HANDOVER"] = str(int(not version.session_recovery))  # which is the better way to the same end
                env["RG_DRAIN_PER_S"] = f"{DRAIN_SHARE * self._config.node_admits_per_s:.9g}"
            if version.dithered_lifetime:
                env["RG_LIFETIME_S"] = f"{LIFETIME_S:g}"
            if version.session_recovery:
                env["RG_SESSION_KEY"] = self._session_key
        return self._part(name, "gateway", _module_of(version), env, version=version.name, path="/socket.io/")

    def _another(self) -> Part:
        number = len(self._nodes) + 1
        name, version = f"gateway-{number}", self._nodes[-1][1]
        base = None if self._config.port_base is None else self._config.port_base + number - 1
        self._ports |= assign_ports([name], {name: self._config.host}, base)
        self._nodes.append((name, version))
        return self._gateway(name, version)

    @property
    def _loops_per_core(self) -> float:
        return len(self._nodes) * self._config.tables / len(os.sched_getaffinity(0))

    @property
    def _rest_s(self) -> float:
        """How long a node rests before each look at its sockets (`gateway.rounds`), as one with several tables must."""
        if self._config.tables == 1 and self._loops_per_core <= _MANY_LOOPS:
            return 0.0
        return min(_MOST_REST_S, _REST_S_PER_LOOP * self._loops_per_core)

    def _godserver(self) -> Part:
        env = {"RG_FLEET": json.dumps(self._addresses()), "RG_CONTROL_TOKEN": self._token}
        return self._part("godserver", "godserver", "reference_gateway.godserver", env)

    def _addresses(self) -> dict[str, list[str]]:
        """Return where clients of each version go."""
        if self._fronts:
            return {version: [self._client_url(name)] for version, name in self._fronts.items()}
        fleet: dict[str, list[str]] = {version.name: [] for version in self._config.versions}
        for name, version in self._nodes:
            fleet[version.name].append(self._client_url(name))
        return fleet

    def _client_url(self, name: str) -> str:
        host = _WILDCARDS.get(self._config.host, self._config.host)
        return f"ws://{_authority(host, self._ports[name])}/socket.io/"

    def _front(self) -> Front | None:
        if not self._fronts:
            return None
        first = next(iter(self._fronts.values()))
        host, port = _WILDCARDS.get(self._config.host, self._config.host), self._ports[first]
        part = partial(
            Part,
            name="front",
            kind="front",
            env=self._environment({}),
            host=host,
            port=port,
            url=f"http://{_authority(host, port)}",
            probe=probe_http,
            log_file=self._data.log_file("front"),
        )
        listens = {version: _authority(self._config.host, self._ports[name]) for version, name in self._fronts.items()}
        patience_s = self._config.ping_interval_s + self._config.ping_timeout_s + _FRONT_SPARE_S
        return Front(self._data.folder / "nginx", listens, self._config.front_limits, patience_s, part)

    def _outside_parts(self) -> list[Mapping[str, str]]:
        parts: list[Mapping[str, str]] = []
        if self._config.redis_url is not None and self._config.needs_broker:
            urls = " ".join(map(redact_url, self._config.redis_url.split()))
            parts.append({"name": "broker", "kind": "broker", "url": urls})
        where = redact_url(self._config.database_url) if self._config.database_url else self._database_url
        parts.append({"name": "storage", "kind": "storage", "url": where})
        return parts


def _way_name(consumer: str, server: str) -> str:
    return f"{consumer} to {server}"


def _module_of(version: Version) -> str:
    return "reference_gateway.monolith" if version.shape == "monolith" else "reference_gateway.gateway"


def _redis_url(port: int) -> str:
    return f"redis://{LOOPBACK}:{port}/0"


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
