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
from loadtest.profile.loader import load_profile
from loadtest.profile.model import Profile
from loadtest.users.worker_bridge import WorkerBridge

_bridges: WeakKeyDictionary[Environment, WorkerBridge] = WeakKeyDictionary()
_loaded: dict[tuple[str, str | None], Profile] = {}


def profile_of(environment: Environment, given: str | Path | Mapping[str, Any] | Profile | None) -> Profile:
    """Return the profile that applies: the master's, else the user class's, aimed at `--host` when it is given.

    Raises:
        UsageError: neither has one. ProfileError: it is wrong.
    """
    known = bridge_of(environment).profile
    if known is not None:
        return known
    if given is None:
        raise UsageError('a HerdUser needs a profile: set `profile = "file.toml"` (or a dict) on the class')
    if isinstance(given, Profile):
        return given
    if isinstance(given, Mapping):
        return Profile.model_validate(given)
    key = (str(given), environment.host or None)
    if key not in _loaded:
        _loaded[key] = load_profile(str(given), target_url=environment.host or None)
    return _loaded[key]


def make_bridge(environment: Environment, role: str = "any") -> WorkerBridge:
    """Make this process's end of the bridge; once per environment that has a worker or local runner."""
    bridge = _bridges[environment] = WorkerBridge(environment, role)
    return bridge


def bridge_of(environment: Environment) -> WorkerBridge:
    """Return the process's end of the bridge, making it when nobody has."""
    return _bridges.get(environment) or make_bridge(environment)
