"""Where the clients go: `[target]`, its TLS and its bootstrap call."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PlainSerializer

from loadtest.profile.quantities import Bytes, PerSecond, Seconds
from loadtest.profile.section import Section, Several


def _one_or_several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _single_as_text(urls: tuple[str, ...]) -> str | list[str]:
    return urls[0] if len(urls) == 1 else list(urls)


Urls = Annotated[Several[str], BeforeValidator(_one_or_several, json_schema_input_type=str | tuple[str, ...])]


class Tls(Section):
    """TLS of a wss:// target; without this table certificates are verified against the system's authorities."""

    ca: str | None = Field(default=None, description="PEM file of the authority to trust instead of the system's.")
    cert: str | None = Field(default=None, description="PEM file of the client's certificate.")
    key: str | None = Field(default=None, description="PEM file of the client's private key.")
    insecure: bool = Field(default=False, description="Accept any certificate. For a test system of your own only.")
    server_name: str | None = Field(
        default=None, description="Name to ask for and to verify, when it is not the URL's host."
    )


class Bootstrap(Section):
    """An HTTP GET before the upgrade whose JSON answer names the gateway."""

    url: str | None = Field(
        default=None,
        description="Address to ask; a template. Required, except with stack = reference, which knows its own.",
        examples=["http://127.0.0.1:9000/v1/bootstrap?client={client}"],
    )
    path: str = Field(
        default="gateway.url", min_length=1, description="Dotted path to the gateway's URL inside the answer."
    )
    every: Literal["connect", "once"] = Field(
        default="connect", description="Ask before every connect, or once per client and keep the answer."
    )


class Node(Section):
    """What one gateway node of the reference stack has; without this table, what the machine has."""

    cpu: float | None = Field(default=None, gt=0, le=1024, description="Cores; it rests when it has used more.")
    memory_bytes: Bytes | None = Field(
        default=None, alias="memory", gt=0, description="Memory beyond its start; it is killed when it uses more."
    )
    client_memory_bytes: Bytes | None = Field(
        default=None, alias="client_memory", gt=0, description="Memory that it keeps for each client."
    )


class Autoscale(Section):
    """Nodes are added and drained while the run lasts, from `nodes` on; clients need [target.bootstrap] or a front."""

    most: int = Field(ge=1, le=256, description="Nodes at most.", examples=[4])
    on: Literal["both", "cpu", "memory", "none"] = Field(
        default="both", description="What the load of a node goes by; none: the schedule alone."
    )
    schedule: Several[str] = Field(
        default=(), description="At least so many nodes from then on: 30s=4 (since the stack's start), 18:00=8 (UTC)."
    )
    calm_s: Seconds | None = Field(
        default=None, alias="calm", gt=0, le=86_400, description="Time of low load before a node is drained (30s)."
    )


class Target(Section):
    """The system under test."""

    stack: Literal["reference"] | None = Field(
        default=None, description="Start the reference stack for this run; url is then not needed."
    )
    version: str | None = Field(
        default=None, description="Reference stack: version to start. Any other target: a label recorded in the result."
    )
    nodes: int = Field(default=1, ge=1, le=1000, description="Gateway nodes of the reference stack.")
    tables: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Reference stack: descriptor tables of each node; each holds what one process may open files.",
    )
    ping_interval_s: Seconds | None = Field(
        default=None,
        alias="ping_interval",
        gt=0,
        le=3600,
        description="Reference stack: time between heartbeats (Engine.IO: 25s; a million clients want 120s).",
    )
    ping_timeout_s: Seconds | None = Field(
        default=None, alias="ping_timeout", gt=0, le=3600, description="Reference stack: patience with a heartbeat."
    )
    admit_per_s: PerSecond | None = Field(
        default=None,
        alias="admit",
        gt=0,
        le=1e6,
        description="Reference stack: connects per second that versions with admission control let in (2k/s).",
    )
    front: Literal["nginx"] | None = Field(
        default=None, description="Reference stack: what stands in front of its gateways (nginx has to be installed)."
    )
    front_rate_per_s: PerSecond | None = Field(
        default=None,
        alias="front_rate",
        gt=0,
        le=1e6,
        description="With front: new clients that it lets through (all).",
    )
    front_connections: int | None = Field(
        default=None,
        ge=1,
        le=65_535,
        description="With front: WebSockets that it holds at the same time (any number).",
    )
    node: Node | None = Field(default=None, description="What one node of the reference stack has.")
    autoscale: Autoscale | None = Field(default=None, description="Reference stack: nodes added and drained by load.")
    urls: Annotated[Urls, PlainSerializer(_single_as_text)] = Field(
        default=(),
        alias="url",
        description="ws:// or wss:// address of the gateway; several are dealt to clients in turn.",
    )
    dialect: Literal["socketio", "websocket"] = Field(
        default="socketio",
        description="socketio: Socket.IO v5 on Engine.IO v4. websocket: JSON messages on plain WebSocket.",
    )
    tls: Tls | None = Field(default=None, description="TLS settings of a wss:// target.")
    bootstrap: Bootstrap | None = Field(
        default=None, description="HTTP call that names the gateway before each connect."
    )
