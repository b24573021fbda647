"""The contract of a fault.

    check  -> refusals, before anything starts: what this target lacks for this fault
    apply  -> does it; returns when it is done, or raises FaultFailedError
    undo   -> takes it back; called once at the end of the run for every fault whose `apply` was begun, done or not

Laws: `apply` may block and is run beside the load, in a greenlet of its own on the master: it uses plain blocking calls
of the standard library and never imports gevent. It may be interrupted by any exception at any point, and then leaves
nothing running. `undo` must be harmless where nothing was done. A fault that fails makes the run invalid: what was to
be measured did not happen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from loadtest.errors import ExitCode, LoadtestError


class FaultFailedError(LoadtestError):
    """A fault could not be applied; the message names the fault, what happened and the target's own words."""

    exit_code = ExitCode.INVALID


class Control(NamedTuple):
    """The control address of a stack that we started: base URL without a path, and its bearer token."""

    url: str
    token: str


class FaultContext(Protocol):
    """What a fault may touch of the run; implemented by the conductor."""

    @property
    def control(self) -> Control | None:
        """Control of the stack, or None for a target that is not ours."""

    @property
    def variables(self) -> Mapping[str, str]:
        """Names and values handed to a command in its environment, such as `run`."""

    def drop(self, share: float, how: str) -> None:
        """Have all herds close `share` (0..1] of their own sockets; `how` is "close" or "reset"."""

    def log(self, text: str) -> None:
        """Put a line into the run's log and live view."""


class Fault(Protocol):
    """One thing done to the target; see the laws of this file."""

    def check(self, context: FaultContext) -> list[str]:  # noqa: ARG002 - for those that override
        """Return why it cannot be applied to this target, one sentence each; [] when it can."""
        return []

    def apply(self, context: FaultContext) -> None:
        """Do it.

        Raises:
            FaultFailedError: it did not happen, or not wholly.
        """

    def undo(self, context: FaultContext) -> None:
        """Take back what outlives `apply`; harmless when nothing does, which is the default."""
