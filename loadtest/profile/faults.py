"""What goes wrong on purpose: `[[faults]]`, one class per kind, told apart by `kind`.

To add a kind: a class with its keys (here, or in the file of its family), its place in `Fault`, and its file in
`loadtest/faults/`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, get_args

from pydantic import Field

from loadtest.profile import part_faults as part
from loadtest.profile.client_faults import (
    BlackholeFault,
    DropFault,
    HalfOpenFault,
    MuteFault,
    SlowlorisFault,
    SlowReaderFault,
)
from loadtest.profile.fault import FaultBase
from loadtest.profile.network_faults import (
    NetworkBandwidthFault,
    NetworkCutFault,
    NetworkDelayFault,
    NetworkJitterFault,
    NetworkStallFault,
)
from loadtest.profile.quantities import Seconds
from loadtest.profile.section import HttpRequest

__all__ = [
    "KINDS",
    "BlackholeFault",
    "CommandFault",
    "DeployFault",
    "DropFault",
    "Fault",
    "HalfOpenFault",
    "HttpFault",
    "MuteFault",
    "NetworkBandwidthFault",
    "NetworkCutFault",
    "NetworkDelayFault",
    "NetworkJitterFault",
    "NetworkStallFault",
    "RolloutFault",
    "SlowReaderFault",
    "SlowlorisFault",
]


class DeployFault(FaultBase):
    """Replace processes of the reference stack."""

    needs_stack: ClassVar[bool] = True

    kind: Literal["deploy"] = Field(description="Replace processes of the reference stack.")
    tier: Literal["gateway", "api"] = Field(
        default="gateway", description="The gateway nodes, or the private API behind them alone."
    )
    strategy: Literal["all-at-once", "rolling", "blue-green"] = Field(
        default="all-at-once",
        description="Every node together; node by node; or all new ones beside the old, which end once those are well.",
    )
    pace_s: Seconds = Field(
        default=0.0, alias="pace", ge=0, le=3600, description="Rest between two nodes of a rolling deploy."
    )
    close_code: int | None = Field(
        default=None, description="What ending nodes close with, such as 1012. Default: the version's own code."
    )
    retry_after_s: Seconds | None = Field(
        default=None,
        alias="retry_after",
        ge=0,
        le=3600,
        description="Clients are told to come back after a time between 0 and this. Default: as the version does.",
    )
    drain_seconds: float = Field(
        default=0.0, ge=0, le=3600, description="Seconds over which a node closes its connections before it ends."
    )
    timeout_s: Seconds = Field(
        default=60.0, alias="timeout", gt=0, le=86_400, description="The deploy has failed if it takes longer."
    )


class CommandFault(FaultBase):
    """Run a shell command."""

    kind: Literal["command"] = Field(description="Run a shell command.")
    command: str = Field(
        min_length=1, description="Command line, run by the shell.", examples=["systemctl restart gateway"]
    )
    timeout_s: Seconds = Field(
        default=60.0,
        alias="timeout",
        gt=0,
        le=86_400,
        description="The command is ended and has failed if it takes longer.",
    )


class HttpFault(FaultBase):
    """Call an HTTP hook."""

    kind: Literal["http"] = Field(description="Call an HTTP hook.")
    http: HttpRequest = Field(
        description="The call; any answer but 2xx is a failure.", examples=[{"url": "http://127.0.0.1/hook"}]
    )
    timeout_s: Seconds = Field(
        default=60.0, alias="timeout", gt=0, le=86_400, description="The call has failed if it takes longer."
    )


class RolloutFault(FaultBase):
    """Move a share of the clients to the second version of the reference stack (version = "sync+bifrost-1")."""

    kind: Literal["rollout"] = Field(description="Move clients between the two versions of the reference stack.")
    percent: float = Field(ge=0, le=100, description="Of the clients, on the version named last.", examples=[50])
    over_s: Seconds = Field(
        default=0.0, alias="over", le=3600, description="Time over which those that move are closed; 0: at once."
    )
    timeout_s: Seconds = Field(
        default=60.0,
        alias="timeout",
        gt=0,
        le=3600,
        description="The step has failed if not as many are connected as before by then, or not within chance's 99 %.",
    )


Fault = Annotated[
    DeployFault
    | CommandFault
    | HttpFault
    | DropFault
    | BlackholeFault
    | HalfOpenFault
    | SlowReaderFault
    | SlowlorisFault
    | MuteFault
    | NetworkDelayFault
    | NetworkJitterFault
    | NetworkBandwidthFault
    | NetworkStallFault
    | NetworkCutFault
    | RolloutFault
    | part.KillFault
    | part.DownFault
    | part.FreezeFault
    | part.SlowFault
    | part.DatabaseSlowFault
    | part.DatabaseDownFault
    | part.PartitionFault
    | part.ReplicaLagFault
    | part.FailoverFault,
    Field(discriminator="kind"),
]
"""One entry of `[[faults]]`."""

KINDS: tuple[str, ...] = tuple(
    get_args(model.model_fields["kind"].annotation)[0] for model in get_args(get_args(Fault)[0])
)
"""The kind of each, in that order."""
