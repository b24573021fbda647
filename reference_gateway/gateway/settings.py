"""The settings of a node, read from the environment alone (12-factor). Bounds are part of the setting."""

from __future__ import annotations

import resource
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from reference_gateway.errors import SettingError
from reference_gateway.gate import NO_GATE, Capacity, read_capacity
from reference_gateway.scaling.factor import Metric, parse_metric
from reference_gateway.scaling.usage import NO_BUDGET, Budget
from reference_gateway.settings import has_address, read_number, read_port, read_text

MAX_TABLES: Final = 64
_SPARE_FDS = 256  # of a table: listener, broker, upstream pool, log files, health checks
_TABLES_REST_S = 0.1


@dataclass(frozen=True, slots=True)
class Settings:
    """What a node can be told; the environment variable of each field stands behind it."""

    node: str = "gateway-1"  # RG_NODE
    version: str = "bifrost-1"  # RG_VERSION
    host: str = "127.0.0.1"  # RG_HOST
    port: int = 0  # RG_PORT, required
    api_url: str = "http://127.0.0.1:9"  # RG_API_URL, required: base of the private API
    broker_url: str = "memory:"  # REDIS_URL
    ping_interval_s: float = 25.0  # RG_PING_INTERVAL_S
    ping_timeout_s: float = 20.0  # RG_PING_TIMEOUT_S
    handshake_timeout_s: float = 10.0  # RG_HANDSHAKE_TIMEOUT_S: from accept to Socket.IO CONNECT
    close_grace_s: float = 5.0  # RG_CLOSE_GRACE_S: from our close frame to the end of the socket
    drain_s: float = 0.0  # RG_DRAIN_SECONDS: SIGTERM spreads its closes over this; 0 = at once
    drain_file: str = ""  # RG_DRAIN_FILE: if this file exists at SIGTERM, what it says counts instead (`drain`)
    drain_per_s: float = 0.0  # RG_DRAIN_PER_S: closes per second if that file says 0; 0 = at once
    handover: bool = False  # RG_HANDOVER=1: the process that ends tells the one in its place who is coming
    lifetime_s: float = 0.0  # RG_LIFETIME_S: a connection is closed at this age, give or take a half; 0 = never
    subscribe_timeout_s: float = 5.0  # RG_SUBSCRIBE_TIMEOUT_S: how long the broker may take to confirm
    max_connections: int = 10_000  # RG_MAX_CONNECTIONS: default, and most, is what the fd limit allows its tables
    tables: int = 1  # RG_TABLES: descriptor tables, each up to the fd limit (`tables`)
    max_subscriptions: int = 64  # RG_MAX_SUBSCRIPTIONS: per client
    namespaces: frozenset[str] = frozenset()  # RG_NAMESPACES: those besides "/", with spaces between
    max_message_bytes: int = 1 << 20  # RG_MAX_MESSAGE_BYTES: one client message, all its fragments
    max_head_bytes: int = 16 * 1024  # RG_MAX_HEAD_BYTES: the HTTP request head
    queue_bytes: int = 256 * 1024  # RG_QUEUE_BYTES: outgoing queue of a connection, behind the kernel's
    backlog: int = 16_384  # RG_BACKLOG: the kernel caps it at net.core.somaxconn
    reuse_port: bool = False  # RG_REUSE_PORT=1
    rest_s: float = 0.0  # RG_REST_S: rest before each look at the sockets (`rounds`); for nodes that share a core
    upstream_connections: int = 32  # RG_UPSTREAM_CONNECTIONS: HTTP connections to the API
    upstream_outstanding: int = 4096  # RG_UPSTREAM_OUTSTANDING: unanswered messages of all clients
    upstream_per_client: int = 64  # RG_UPSTREAM_PER_CLIENT: unanswered messages of one client
    upstream_timeout_s: float = 10.0  # RG_UPSTREAM_TIMEOUT_S
    order_token: str = ""  # RG_ORDER_TOKEN: who may send clients elsewhere (`relocation`); "" = nobody
    session_key: str = ""  # RG_SESSION_KEY: signs session tokens, the same on all nodes; "" = no session recovery
    session_lifetime_s: float = 3600.0  # RG_SESSION_LIFETIME_S: how long a token is believed
    log_kept: int = 1000  # RG_LOG_KEPT: messages of each collection kept for those who come back
    capacity: Capacity = NO_GATE  # RG_CAPACITY and others: see `gate`
    budget: Budget = NO_BUDGET  # RG_CPU_CORES, RG_MEMORY_BYTES: what this node may use; see `scaling.usage`
    load_metric: Metric = "both"  # RG_LOAD_METRIC: both, cpu or memory: what its load goes by
    client_bytes: int = 0  # RG_CLIENT_BYTES: kept in memory for each client, as a service that holds its documents
    admit_per_s: float = 0.0  # RG_ADMIT_PER_S: clients let in per second; 0 = as many as come
    admit_burst: float = 0.0  # RG_ADMIT_BURST: let in at once after a quiet time; 0 = what comes in a quarter second
    admit_concurrent: int = 0  # RG_ADMIT_CONCURRENT: handshakes in progress; 0 = what comes in a fifth of a second
    retry_slots: bool = False  # RG_RETRY_SLOTS=1: a refusal says when to come back
    retry_cap_s: float = 600.0  # RG_RETRY_CAP_S: the longest wait a refusal asks for

    @property
    def of_one_table(self) -> Settings:
        """What the node in one of several descriptor tables goes by: its share of what bounds the whole."""
        if self.tables == 1:
            return self
        return replace(
            self,
            reuse_port=True,
            max_connections=self.max_connections // self.tables,
            drain_per_s=self.drain_per_s / self.tables,
        )


def read_settings(env: Mapping[str, str]) -> Settings:
    """Build the settings from environment variables.

    Raises:
        SettingError: one is missing, malformed or out of bounds; it is named.
    """
    default = Settings()
    tables = int(read_number(env, "RG_TABLES", default.tables, 1, MAX_TABLES))
    most = tables * _connections_by_fd_limit()

    def seconds(name: str, value: float, low: float, high: float = 86_400) -> float:
        return read_number(env, name, value, low, high)

    def count(name: str, value: int, low: int, high: int) -> int:
        return int(read_number(env, name, value, low, high))

    settings = Settings(
        node=read_text(env, "RG_NODE", default.node),
        version=read_text(env, "RG_VERSION", default.version),
        host=read_text(env, "RG_HOST", default.host),
        port=read_port(env),
        api_url=read_text(env, "RG_API_URL").rstrip("/"),
        broker_url=read_text(env, "REDIS_URL", default.broker_url),
        ping_interval_s=seconds("RG_PING_INTERVAL_S", default.ping_interval_s, 0.1),
        ping_timeout_s=seconds("RG_PING_TIMEOUT_S", default.ping_timeout_s, 0.1),
        handshake_timeout_s=seconds("RG_HANDSHAKE_TIMEOUT_S", default.handshake_timeout_s, 0.1),
        close_grace_s=seconds("RG_CLOSE_GRACE_S", default.close_grace_s, 0.1),
        drain_s=seconds("RG_DRAIN_SECONDS", default.drain_s, 0),
        drain_file=read_text(env, "RG_DRAIN_FILE", default.drain_file),
        drain_per_s=read_number(env, "RG_DRAIN_PER_S", default.drain_per_s, 0, 1e6),
        handover=read_text(env, "RG_HANDOVER", "0") == "1",
        lifetime_s=seconds("RG_LIFETIME_S", default.lifetime_s, 0),
        subscribe_timeout_s=seconds("RG_SUBSCRIBE_TIMEOUT_S", default.subscribe_timeout_s, 0.1),
        max_connections=count("RG_MAX_CONNECTIONS", most, tables, most),
        tables=tables,
        max_subscriptions=count("RG_MAX_SUBSCRIPTIONS", default.max_subscriptions, 1, 10_000),
        namespaces=_namespaces(read_text(env, "RG_NAMESPACES", "/")),
        max_message_bytes=count("RG_MAX_MESSAGE_BYTES", default.max_message_bytes, 125, 1 << 30),
        max_head_bytes=count("RG_MAX_HEAD_BYTES", default.max_head_bytes, 256, 1 << 20),
        queue_bytes=count("RG_QUEUE_BYTES", default.queue_bytes, 1, 1 << 30),
        backlog=count("RG_BACKLOG", default.backlog, 1, 65_535),
        reuse_port=read_text(env, "RG_REUSE_PORT", "0") == "1",
        rest_s=seconds("RG_REST_S", *((_TABLES_REST_S, 0.001) if tables > 1 else (default.rest_s, 0.0)), 1),
        upstream_connections=count("RG_UPSTREAM_CONNECTIONS", default.upstream_connections, 1, 10_000),
        upstream_outstanding=count("RG_UPSTREAM_OUTSTANDING", default.upstream_outstanding, 1, 1_000_000),
        upstream_per_client=count("RG_UPSTREAM_PER_CLIENT", default.upstream_per_client, 1, 100_000),
        upstream_timeout_s=seconds("RG_UPSTREAM_TIMEOUT_S", default.upstream_timeout_s, 0.1),
        order_token=read_text(env, "RG_ORDER_TOKEN", default.order_token),
        session_key=read_text(env, "RG_SESSION_KEY", default.session_key),
        session_lifetime_s=seconds("RG_SESSION_LIFETIME_S", default.session_lifetime_s, 1),
        log_kept=count("RG_LOG_KEPT", default.log_kept, 1, 1_000_000),
        capacity=read_capacity(env),
        budget=Budget(read_number(env, "RG_CPU_CORES", 0, 0, 1024), count("RG_MEMORY_BYTES", 0, 0, 1 << 50)),
        load_metric=parse_metric(read_text(env, "RG_LOAD_METRIC", default.load_metric)),
        client_bytes=count("RG_CLIENT_BYTES", 0, 0, 1 << 30),
        admit_per_s=read_number(env, "RG_ADMIT_PER_S", default.admit_per_s, 0, 1e6),
        admit_burst=read_number(env, "RG_ADMIT_BURST", default.admit_burst, 0, 1e6),
        admit_concurrent=count("RG_ADMIT_CONCURRENT", default.admit_concurrent, 0, 1_000_000),
        retry_slots=read_text(env, "RG_RETRY_SLOTS", "0") == "1",
        retry_cap_s=seconds("RG_RETRY_CAP_S", default.retry_cap_s, 0.001),
    )
    if tables > 1:
        _check_tables(settings)
    return settings


def _check_tables(settings: Settings) -> None:
    """Refuse what several descriptor tables cannot do together: they share no state, and look up no name."""
    refused = {
        "RG_HANDOVER": settings.handover,
        "RG_ORDER_TOKEN": settings.order_token,
        "RG_SESSION_KEY": settings.session_key,
        "RG_CAPACITY": settings.capacity.per_s,
        "RG_CPU_CORES or RG_MEMORY_BYTES": settings.budget != NO_BUDGET,
        "RG_ADMIT_PER_S": settings.admit_per_s,
    }
    for name, is_set in refused.items():
        if is_set:
            raise SettingError(
                f"{name}: not with RG_TABLES={settings.tables}; run more nodes with one table each instead"
            )
    for name, url in (("RG_API_URL", settings.api_url), *(("REDIS_URL", one) for one in settings.broker_url.split())):
        if not has_address(url):
            raise SettingError(f"{name}: with RG_TABLES={settings.tables} give the host as an IP address, not by name")


def _namespaces(names: str) -> frozenset[str]:
    for name in names.split():
        if not name.startswith("/") or "," in name:
            raise SettingError(f"RG_NAMESPACES: {name!r} is no namespace: it begins with a slash and has no comma")
    return frozenset(names.split()) - {"/"}


def _connections_by_fd_limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(64, min(soft, 10_000_000) - _SPARE_FDS)
