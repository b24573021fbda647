"""Every error the reference stack raises on purpose, and the exit codes of `reference-gateway`.

    ReferenceGatewayError
      SettingError           2  a flag, an environment variable or a file cannot be used as given
        UnknownVersionError  2  no row of that name in the table of versions
        PortInUseError       2  said before anything starts
      PartFailedError        4  a part did not come up
      NotRunningError        4  no stack answers where one was expected
      DeployError            4  a deploy did not complete
        DeployRunningError   4  one deploy at a time
      FaultError             4  a fault is not in place, or not taken back

Each message names the thing and the remedy, in one sentence a person can act on.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of `reference-gateway`."""

    OK = 0
    USAGE = 2
    FAILED = 4


class ReferenceGatewayError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the command line returns for it."""

    exit_code: ExitCode = ExitCode.FAILED


class SettingError(ReferenceGatewayError):
    """A setting cannot be used as given; the message names it and what is allowed."""

    exit_code = ExitCode.USAGE


class UnknownVersionError(SettingError):
    """No gateway version has that name; the message lists those that exist."""


class PortInUseError(SettingError):
    """A port that a part needs is taken; the message names port, part and remedy."""


class PartFailedError(ReferenceGatewayError):
    """A part of the stack ended or stayed unhealthy; the message ends with the last lines of its log."""


class NotRunningError(ReferenceGatewayError):
    """No running stack was found, or the one that was found does not answer."""


class DeployError(ReferenceGatewayError):
    """A deploy could not be carried out or did not complete."""


class DeployRunningError(DeployError):
    """Another deploy is in progress; only one at a time."""


class FaultError(ReferenceGatewayError):
    """A fault could not be put in place, or not be taken back; the message names the part."""
