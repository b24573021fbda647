"""Ties Locust's environment to the harness: which profile it runs, and its process's end of the bridge.

loadtest run, loadtest worker   set the profile, then make the bridge
locust -f my_locustfile.py      `events.init` makes the bridge; each user class names its own profile
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from locust.env import Environment

from loadtest.errors import UsageError
from loadtest.profile.loader import load_profile, parse_profile
from loadtest.profile.model import Profile
from loadtest.profile.toml_writer import dumps
from loadtest.users.worker_bridge import WorkerBridge

_bridges: WeakKeyDictionary[Environment, WorkerBridge] = WeakKeyDictionary()
_loaded: dict[tuple[str, str | None, int | None], Profile] = {}

Given = str | Path | Mapping[str, Any] | Profile | None
"""What a user class may name as its profile: a path, the name of a shipped one, or the content."""


def profile_of(environment: Environment, given: Given) -> Profile:
    """Return the profile that applies: the master's, else the user class's, aimed at `--host` when it is given.

    Raises:
        UsageError: neither has one. ProfileError: it is wrong.
    """
    bridge = bridge_of(environment)
    return bridge.profile or load_for(environment, given, bridge.connections or None)


def load_for(environment: Environment, given: Given, connections: int | None = None) -> Profile:
    """Load the profile of a user class for a plain Locust run: without its faults and thresholds on them.

    Args:
        connections: size of the population, as Locust's `-u` says; None = as the profile says.

    Raises: as `profile_of`.
    """
    if given is None:
        raise UsageError('a HerdUser needs a profile: set `profile = "file.toml"` (or a dict) on the class')
    if isinstance(given, Profile):
        return given
    overrides = [] if connections is None else [f"population.connections={connections}"]
    if isinstance(given, Mapping):
        return parse_profile(dumps(given), "the profile of a user class", Path(), overrides=overrides)
    key = (str(given), environment.host or None, connections)
    if key not in _loaded:
        without = ["faults=[]", "thresholds=[]"]
        _loaded[key] = load_profile(str(given), [*without, *overrides], target_url=environment.host or None)
        if not _loaded[key].target.urls:
            raise UsageError(f"{given}: give the gateway with --host ws://...; plain Locust starts no stack")
    return _loaded[key]


def make_bridge(environment: Environment, role: str = "any") -> WorkerBridge:
    """Make this process's end of the bridge; once per environment that has a worker or local runner."""
    bridge = _bridges[environment] = WorkerBridge(environment, role)
    return bridge


def bridge_of(environment: Environment) -> WorkerBridge:
    """Return the process's end of the bridge, making it when nobody has."""
    return _bridges.get(environment) or make_bridge(environment)
