"""Every error the harness raises on purpose, and the exit codes of `loadtest`.

    LoadtestError
      UsageError                   2  bad flag or argument
        ProfileError               2  bad profile: carries every fault of the file at once
      RunInvalidError              3  the generator, not the target, was the limit
      TargetUnreachableError       4  nothing to measure
      ResultsError                 2  a run folder that cannot be read
      ProtocolError                   counted per connection, never ends a run
        LocalProtocolError            we were about to break the protocol
        RemoteProtocolError           the peer broke it

Each message names the thing and the remedy, in one sentence a person can act on.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of `loadtest run`; the other commands use the same numbers where they apply, 5 is `gate`'s alone."""

    PASS = 0
    THRESHOLD_FAILED = 1
    USAGE = 2
    INVALID = 3
    UNREACHABLE = 4
    TOO_FEW_RUNS = 5
    INTERRUPTED = 130


class LoadtestError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the command line returns for it."""

    exit_code: ExitCode = ExitCode.USAGE


class UsageError(LoadtestError):
    """A flag or an argument cannot be used as given."""


class ProfileError(UsageError):
    """A profile is wrong; `faults` holds every one of its errors, each a full sentence with its key."""

    def __init__(self, source: str, faults: Sequence[str]) -> None:
        self.source = source
        self.faults = tuple(faults)
        noun = "error" if len(self.faults) == 1 else "errors"
        super().__init__(f"{source}: {len(self.faults)} {noun}\n" + "\n".join(f"  - {fault}" for fault in self.faults))


class RunInvalidError(LoadtestError):
    """The run measured the harness or the machine rather than the target."""

    exit_code = ExitCode.INVALID


class TargetUnreachableError(LoadtestError):
    """The target cannot be reached; the message names the URL and the reason."""

    exit_code = ExitCode.UNREACHABLE


class ResultsError(LoadtestError):
    """A run folder is missing, unreadable or of another schema."""


class ProtocolError(LoadtestError):
    """Base of protocol faults; `reason` is the short class under which a failure is counted."""

    reason = "protocol"


class LocalProtocolError(ProtocolError):
    """Our side was asked to do what the protocol forbids."""


class RemoteProtocolError(ProtocolError):
    """The peer sent what the protocol forbids; `reason` names the class of the fault."""

    def __init__(self, message: str, reason: str = "protocol") -> None:
        super().__init__(message)
        self.reason = reason
