"""What a stack is made of, checked before anything starts.

StackConfig --composition--> parts --supervisor--> processes
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from reference_gateway.errors import SettingError
from reference_gateway.proxy.nginx import MAX_CONNECTIONS, NO_LIMITS, Limits
from reference_gateway.scaling.decision import ScalePlan
from reference_gateway.scaling.factor import parse_metric
from reference_gateway.scaling.usage import NO_BUDGET, Budget
from reference_gateway.settings import has_address
from reference_gateway.storage.location import with_driver
from reference_gateway.versions import Version, find

MAX_NODES: Final = 256
MAX_TABLES: Final = 64
MAX_PING_S: Final = 3600.0
#: What the nodes of a stack let in together, per second, unless told otherwise: about half of what two cores can do.
ADMIT_PER_S: Final = 2000.0


@dataclass(frozen=True, slots=True)
class StackConfig:
    """One stack.

    Attributes:
        versions: the gateway versions to run, each with `nodes` nodes; the first one gets every client at the start.
        nodes: gateway nodes per version, 1 to 256. tables: descriptor tables of each, 1 to 64 (`gateway.tables`).
        host: address the public parts (godserver, gateways) listen on; everything else listens on loopback.
        port_base: first of the fixed ports (layout in `ports.py`); None chooses free ones.
        ready_file: where the description of the healthy stack is written; None = only the default state file.
        data_dir: where database, rules and logs live; None = a temporary folder, removed at the end.
        log_dir: where the parts' output goes; None = `logs` in the data folder.
        rules_file: the rule table of the private API; None = the shipped one, copied into the data folder.
        start_timeout_s: how long one part may take to become healthy.
        ping_interval_s, ping_timeout_s: Engine.IO's heartbeat, for every gateway node.
        capacity_per_s: full connects per second that all nodes of a version work off together; 0 = what they can.
        handshake_stages: services a full connect takes then. held_cost_per_s: what a held connection takes of the
            capacity, in connects per second.
        admit_per_s: clients that the nodes of a version with admission control let in together; None = the capacity,
            or 2,000 where that is not limited.
        front: what stands in front of the gateways, "nginx" or nothing; front_limits: what it lets through.
        broker_links: whether every way to the embedded broker leads through a relay, which can be cut (`faults.link`).
        scaling: how many nodes there are to be while the stack runs; None = as many as at the start.
        budget: what each node of a split version may use. load_metric: what its load goes by. client_bytes: memory
            that it keeps for each client.
        environment: variables for the parts, over this process's own.
        redis_url: an existing broker; None starts an embedded one.
        database_url: an existing database; None = SQLite in the data folder.
    """

    versions: tuple[Version, ...]
    nodes: int = 1
    tables: int = 1
    host: str = "127.0.0.1"
    port_base: int | None = None
    ready_file: Path | None = None
    data_dir: Path | None = None
    log_dir: Path | None = None
    rules_file: Path | None = None
    start_timeout_s: float = 20.0
    ping_interval_s: float = 25.0
    ping_timeout_s: float = 20.0
    capacity_per_s: float = 0.0
    handshake_stages: int = 4
    held_cost_per_s: float = 0.0
    admit_per_s: float | None = None
    front: str = ""
    front_limits: Limits = NO_LIMITS
    broker_links: bool = False
    scaling: ScalePlan | None = None
    budget: Budget = NO_BUDGET
    load_metric: str = "both"
    client_bytes: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    redis_url: str | None = None
    database_url: str | None = None

    def __post_init__(self) -> None:
        """Check what the types cannot.

        Raises:
            SettingError: names the flag, what was found and what is allowed.
        """
        if not self.versions or len({version.name for version in self.versions}) != len(self.versions):
            raise SettingError("--version: give at least one version, and each at most once")
        if not 1 <= self.nodes <= MAX_NODES:
            raise SettingError(f"--nodes {self.nodes}: allowed is 1 to {MAX_NODES}")
        if not 1 <= self.tables <= MAX_TABLES:
            raise SettingError(f"--tables {self.tables}: allowed is 1 to {MAX_TABLES}")
        if self.tables > 1:
            self._check_tables()
        if self.port_base is not None and not 1 <= self.port_base <= 65535:
            raise SettingError(f"--port-base {self.port_base}: allowed is 1 to 65535")
        for flag, seconds in (("interval", self.ping_interval_s), ("timeout", self.ping_timeout_s)):
            if not 0.1 <= seconds <= MAX_PING_S:
                raise SettingError(f"--ping-{flag} {seconds:g}: allowed is 0.1 to {MAX_PING_S:g}")
        if self.admit_per_s is not None and not 0.01 <= self.admit_per_s <= 1e6:
            raise SettingError(f"--admit {self.admit_per_s:g}: allowed is 0.01 to 1000000")
        if self.database_url is not None:
            with_driver(self.database_url)
        if self.front not in ("", "nginx"):
            raise SettingError(f"--front {self.front!r}: allowed is nginx")
        if self.front_limits != NO_LIMITS and not self.front:
            raise SettingError("--front-rate and --front-connections: allowed with --front nginx")
        if self.front_limits.connections > MAX_CONNECTIONS:
            raise SettingError(
                f"--front-connections {self.front_limits.connections}: allowed is 0 to {MAX_CONNECTIONS}"
            )
        parse_metric(self.load_metric)
        if self.scaling is not None:
            if len(self.versions) != 1 or not self.is_split:
                raise SettingError("--autoscale: allowed with one version, and not with sync, whose nodes tell no load")
            if self.broker_links:
                raise SettingError("--autoscale: not with --broker-links, which are laid at the start")
            if not self.nodes <= self.scaling.most <= MAX_NODES:
                raise SettingError(f"--autoscale {self.scaling.most}: allowed is --nodes ({self.nodes}) to {MAX_NODES}")
        if self.rules_file is not None and not self.rules_file.is_file():
            raise SettingError(f"--rules {self.rules_file}: no such file")
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            raise SettingError(f"--host {self.host!r}: give the IP address of an interface, e.g. 127.0.0.1") from None

    def _check_tables(self) -> None:
        """Refuse what needs the state of a whole node in one place."""
        stateful = any(not one.is_split or one.admission or one.session_recovery for one in self.versions)
        refused = {
            f"--version {self.version_label}": stateful or len(self.versions) > 1,
            "--capacity": self.capacity_per_s > 0,
            "--autoscale": self.scaling is not None,
            "--node-cpu and --node-memory": self.budget != NO_BUDGET,
            "REDIS_URL with the name of a host": not all(map(has_address, (self.redis_url or "").split())),
        }
        for what, is_asked in refused.items():
            if is_asked:
                raise SettingError(
                    f"--tables {self.tables}: not with {what}, only with bifrost-1 as it is; give more --nodes instead"
                )

    @property
    def version_label(self) -> str:
        """What the ready file calls the version: its name, or several joined by '+'."""
        return "+".join(version.name for version in self.versions)

    @property
    def node_admits_per_s(self) -> float:
        """What one node of a version with admission control lets in, clients per second."""
        return (self.admit_per_s or self.capacity_per_s or ADMIT_PER_S) / self.nodes

    @property
    def node_environment(self) -> dict[str, str]:
        """What a node is told of its budget."""
        return {
            "RG_CPU_CORES": f"{self.budget.cores:.9g}",
            "RG_MEMORY_BYTES": str(self.budget.memory_bytes),
            "RG_LOAD_METRIC": self.load_metric,
            "RG_CLIENT_BYTES": str(self.client_bytes),
        }

    @property
    def needs_broker(self) -> bool:
        """Whether any version needs the broker with this many nodes."""
        return any(version.broker_for_one_node or self.nodes > 1 for version in self.versions)

    @property
    def is_split(self) -> bool:
        """Whether the private API and the collections service are needed."""
        return any(version.shape == "split" for version in self.versions)


def find_versions(label: str) -> tuple[Version, ...]:
    """Return the rows that `--version` names: one, or several joined by '+' or ','.

    Raises:
        UnknownVersionError: one of them does not exist.
    """
    return tuple(find(name.strip()) for name in label.replace("+", ",").split(","))
