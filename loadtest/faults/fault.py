"""The contract of a fault.

    check  -> refusals, before anything starts: what this target lacks for this fault
    apply  -> does it; returns when it is done or, of a fault that lasts, in place; or raises FaultFailedError
    undo   -> takes it back; called once for every fault whose `apply` was begun (again, if it was interrupted):
              of a fault that lasts, `duration` after `apply` returned; of one that failed, at once;
              of any other, and without a duration, at the end of the run

Laws: `apply` and `undo` may block and are run beside the load, in a greenlet on the master: they use plain blocking
calls of the standard library and never import gevent. `apply` may be interrupted by any exception at any point, and
then leaves nothing running. `undo` must be harmless where nothing was done. A fault that fails, in either, makes the
run invalid: what was to be measured did not happen. Whatever a fault puts in place beyond this process ends with this
process, however that ends: `undo` is not called by a harness that was killed.

Whether a kind lasts, and what it holds so that no two of them meet, its profile table says (`profile.fault`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from loadtest.errors import ExitCode, LoadtestError
from loadtest.profile.model import Profile
from loadtest.relay.control import Remote


class FaultFailedError(LoadtestError):
    """A fault could not be applied; the message names the fault, what happened and the target's own words."""

    exit_code = ExitCode.INVALID


class Control(NamedTuple):
    """The control address of a stack that we started, and what it says can be asked for there.

    Attributes:
        url: base URL without a path. token: the bearer token.
        faults: the kinds that each part can have.
        deploys: the strategies that each tier can be deployed by.
    """

    url: str
    token: str
    faults: Mapping[str, Collection[str]] = {}
    deploys: Mapping[str, Collection[str]] = {}


class FaultContext(Protocol):
    """What a fault may touch of the run; implemented by the conductor."""

    @property
    def control(self) -> Control | None:
        """Control of the stack, or None for a target that is not ours."""

    @property
    def variables(self) -> Mapping[str, str]:
        """Names and values handed to a command in its environment, such as `run`."""

    @property
    def relays(self) -> Sequence[Remote]:
        """The relays between clients and gateways; none without a [relay]."""

    @property
    def profile(self) -> Profile:
        """The profile as it runs, with the addresses that clients connect to."""

    def afflict(self, name: str, order: Mapping[str, object]) -> int:
        """Have all herds do something to connections of their own; return to how many it happens.

        Args:
            name: of the fault. order: `kind`, `share` or `number`, and what the kind needs (`herd.afflicting`).

        Raises:
            FaultFailedError: a worker cannot, or did not answer.
        """

    def relieve(self, name: str) -> Mapping[str, object]:
        """Have all herds let go of what `afflict` began under this name; return what came of it, summed up.

        Raises:
            FaultFailedError: a worker did not answer.
        """

    def log(self, text: str) -> None:
        """Put a line into the run's log and live view."""

    def report(self, name: str, facts: Mapping[str, object]) -> None:
        """Put figures (plain values, named with their units) into fault `name`'s event of run.json, key `fault`."""


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
        """Take back what outlives `apply`; harmless when nothing does, which is the default.

        Raises:
            FaultFailedError: it is still in place, wholly or in part.
        """
