"""Which class carries out which kind of fault: the kind is the file's name, the key here and in profiles.

A file's name has _ where the kind has -, since Python will not have it otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from loadtest.faults.blackhole import BlackholeFault
from loadtest.faults.command import CommandFault
from loadtest.faults.database_down import DatabaseDownFault
from loadtest.faults.database_slow import DatabaseSlowFault
from loadtest.faults.deploy import DeployFault
from loadtest.faults.down import DownFault
from loadtest.faults.drop import DropFault
from loadtest.faults.failover import FailoverFault
from loadtest.faults.fault import Fault
from loadtest.faults.freeze import FreezeFault
from loadtest.faults.half_open import HalfOpenFault
from loadtest.faults.http import HttpFault
from loadtest.faults.kill import KillFault
from loadtest.faults.mute import MuteFault
from loadtest.faults.network_bandwidth import NetworkBandwidthFault
from loadtest.faults.network_cut import NetworkCutFault
from loadtest.faults.network_delay import NetworkDelayFault
from loadtest.faults.network_jitter import NetworkJitterFault
from loadtest.faults.network_stall import NetworkStallFault
from loadtest.faults.partition import PartitionFault
from loadtest.faults.replica_lag import ReplicaLagFault
from loadtest.faults.rollout import RolloutFault
from loadtest.faults.slow import SlowFault
from loadtest.faults.slow_reader import SlowReaderFault
from loadtest.faults.slowloris import SlowlorisFault
from loadtest.profile import faults as profile

FAULTS: dict[str, Callable[[Any], Fault]] = {
    "blackhole": BlackholeFault,
    "command": CommandFault,
    "deploy": DeployFault,
    "drop": DropFault,
    "half-open": HalfOpenFault,
    "http": HttpFault,
    "mute": MuteFault,
    "network-bandwidth": NetworkBandwidthFault,
    "network-cut": NetworkCutFault,
    "network-delay": NetworkDelayFault,
    "network-jitter": NetworkJitterFault,
    "network-stall": NetworkStallFault,
    "slow-reader": SlowReaderFault,
    "slowloris": SlowlorisFault,
    "rollout": RolloutFault,
    "database-down": DatabaseDownFault,
    "database-slow": DatabaseSlowFault,
    "down": DownFault,
    "failover": FailoverFault,
    "freeze": FreezeFault,
    "kill": KillFault,
    "partition": PartitionFault,
    "replica-lag": ReplicaLagFault,
    "slow": SlowFault,
}
"""Each value is called with the profile's table of that kind."""


def build_faults(settings: Iterable[profile.Fault]) -> dict[str, Fault]:
    """Return the faults of a profile by their names, in its order."""
    return {one.name: FAULTS[one.kind](one) for one in settings}
