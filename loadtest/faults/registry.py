"""Which class carries out which kind of fault: the kind is the file's name, the key here and the key in profiles."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from loadtest.faults.command import CommandFault
from loadtest.faults.deploy import DeployFault
from loadtest.faults.drop import DropFault
from loadtest.faults.fault import Fault
from loadtest.faults.http import HttpFault
from loadtest.faults.rollout import RolloutFault
from loadtest.profile import faults as profile

FAULTS: dict[str, Callable[[Any], Fault]] = {
    "command": CommandFault,
    "deploy": DeployFault,
    "drop": DropFault,
    "http": HttpFault,
    "rollout": RolloutFault,
}
"""Each value is called with the profile's table of that kind."""


def build_faults(settings: Iterable[profile.Fault]) -> dict[str, Fault]:
    """Return the faults of a profile by their names, in its order."""
    return {one.name: FAULTS[one.kind](one) for one in settings}
