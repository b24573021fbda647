"""What goes wrong on purpose: `[[faults]]`, one class per kind, told apart by `kind`.

To add a kind: a class here with its keys, its place in `Fault`, and its file in `loadtest/faults/`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from loadtest.profile.quantities import Seconds, Share
from loadtest.profile.section import HttpRequest, Section


class FaultBase(Section):
    """What every fault has: a name and a moment (`at` or `after_steady`; neither: as soon as steady)."""

    name: str = Field(
        default="", pattern=r"^[a-z][a-z0-9_-]{0,63}$", description="Name in reports and thresholds. Default: the kind."
    )
    at_s: Seconds | None = Field(
        default=None, alias="at", le=31_536_000, description="Time since the start of the run."
    )
    after_steady_s: Seconds | None = Field(
        default=None, alias="after_steady", le=31_536_000, description="Time since the start of the hold phase."
    )

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, given: Any) -> Any:
        """Name a fault after its kind and let it happen when steady, unless the file says otherwise."""
        if not isinstance(given, dict):
            return given
        kind = given.get("kind")
        filled = {"name": kind, **given} if isinstance(kind, str) else dict(given)
        if "at" not in given and "after_steady" not in given:
            filled["after_steady"] = 0
        return filled


class DeployFault(FaultBase):
    """Replace the gateway nodes of the reference stack."""

    kind: Literal["deploy"] = Field(description="Replace the gateway nodes of the reference stack.")
    strategy: Literal["all-at-once", "rolling"] = Field(
        default="all-at-once", description="Every node together, or node by node."
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


class DropFault(FaultBase):
    """Let the harness close its own sockets."""

    kind: Literal["drop"] = Field(description="The harness closes its own connections.")
    share: Share = Field(default=1.0, gt=0, description="Share of the connections to close.")
    how: Literal["close", "reset"] = Field(default="close", description="A WebSocket close, or a TCP reset.")


Fault = Annotated[DeployFault | CommandFault | HttpFault | DropFault, Field(discriminator="kind")]
"""One entry of `[[faults]]`."""
