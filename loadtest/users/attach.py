"""Ties Locust's environment to the harness: which profile it runs, and its process's end of the bridge.

    loadtest run, loadtest worker   set the profile, then make the bridge
    locust -f my_locustfile.py      `events.init` makes the bridge; each user class names its own profile

Law: under plain Locust the profile is a guest: `--host` aims it, `-u` says how many connect, nothing is broken on
purpose. Its faults are left out, and so are the thresholds on them.
"""

from __future__ import annotations

import inspect
import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from locust import User
from locust.env import Environment

from loadtest.errors import UsageError
from loadtest.metrics import thresholds
from loadtest.profile.loader import load_profile, parse_profile
from loadtest.profile.model import Profile
from loadtest.profile.shelf import find_profile
from loadtest.profile.toml_writer import dumps
from loadtest.users.worker_bridge import WorkerBridge

_bridges: WeakKeyDictionary[Environment, WorkerBridge] = WeakKeyDictionary()
_loaded: dict[tuple[type[User], str | None], tuple[object, Profile]] = {}

Given = str | Path | Mapping[str, Any] | Profile | None
"""What a user class may name as its profile: a path, the name of a shipped one, or the content."""

DEFAULT_PROFILE = "any-socketio"
"""What the project's own locustfile runs when nobody says otherwise."""
DEFAULTS = {"duration": "60s"}
"""What the content of a profile may leave out on a user class: Locust's `-t` and `-u` say it."""


def profile_of(environment: Environment, user_class: type[User]) -> Profile:
    """Return the profile that applies to a user: the master's, else its class's, as `load_for`."""
    bridge = bridge_of(environment)
    return bridge.profile or load_for(environment, user_class, bridge.connections or None)


def named_profile(user_class: type[User]) -> str:
    """Return the hash of the profile that a user class names, wherever it is aimed; "" for none, or just the default.

    Raises:
        ProfileError: it is wrong.
    """
    given: Given = getattr(user_class, "profile", None)
    return "" if given is None or given == DEFAULT_PROFILE else _load(user_class, given, None).sha256


def stripped(profile: Profile) -> Profile:
    """Return a profile without its faults and the thresholds on them."""
    return profile.model_copy(update={"faults": (), "thresholds": tuple(_kept(profile.thresholds))})


def load_for(
    environment: Environment, user_class: type[User], connections: int | None = None, *, aimed: bool = True
) -> Profile:
    """Load the profile that a user class names, for a plain Locust run.

    Args:
        connections: size of the population, as `-u` makes it; None = as the profile says.
        aimed: whether a target is needed by now; the web UI's form may still name one.

    Raises:
        UsageError: the class names none, or it has no target. ProfileError: it is wrong.
    """
    given: Given = getattr(user_class, "profile", None)
    host = environment.host or user_class.host or None
    known = _loaded.get((user_class, host))
    if known is None or known[0] is not given:
        known = _loaded[user_class, host] = given, _load(user_class, given, host)
    profile = known[1]
    bootstrap = profile.target.bootstrap
    if aimed and not profile.target.urls and (bootstrap is None or bootstrap.url is None):
        raise UsageError(
            f"{user_class.__name__}: the profile {profile.name} has no target of its own, and Locust starts no stack;"
            " name the gateway with --host ws://..."
        )
    return profile if connections is None else _sized(profile, connections)


def _load(user_class: type[User], given: Given, host: str | None) -> Profile:
    if given is None:
        raise UsageError(f'{user_class.__name__} names no profile: set `profile = "file.toml"` on the class, or a dict')
    folder = Path(inspect.getfile(user_class)).parent
    if isinstance(given, Profile):
        profile = given if host is None else given.with_gateways([host])
    elif isinstance(given, Mapping):
        profile = _from_content(given, f"the profile of {user_class.__name__}", folder, host)
    else:
        beside = folder / given
        path = beside if beside.is_file() and not Path(given).is_file() else find_profile(str(given))
        profile = load_profile(path, without_faults(path), target_url=host)
    return stripped(profile)


def _from_content(given: Mapping[str, Any], source: str, folder: Path, host: str | None) -> Profile:
    population = given.get("population", {})
    if isinstance(population, Mapping):
        population = {"connections": population.get("herd_size", 250), **population}
    content = {**DEFAULTS, **given, "population": population, "faults": []}
    if isinstance(content.get("thresholds"), list):
        content["thresholds"] = _kept(content["thresholds"])
    try:
        text = dumps(content)
    except (TypeError, AttributeError) as error:  # None, an object, a key that is not text
        raise UsageError(f"{source}: {error}") from error
    return parse_profile(text, source, folder, target_url=host, default_name="locust")


def without_faults(path: Path) -> list[str]:
    """Return the overrides that leave out a file's faults and the thresholds on them."""
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8")).get("thresholds", [])
    except (OSError, ValueError):
        return []  # whoever loads the file says what is wrong with it
    return ["faults=[]", f"thresholds={json.dumps(_kept(given))}"] if isinstance(given, list) else ["faults=[]"]


def _kept(given: Iterable[Any]) -> list[Any]:
    """Return the thresholds that need no fault.

    Raises:
        UsageError: one cannot be read.
    """
    return [text for text in given if not isinstance(text, str) or thresholds.parse(text).event is None]


def _sized(profile: Profile, connections: int) -> Profile:
    population = profile.population.model_copy(update={"connections": connections})
    return profile.model_copy(update={"population": population})


def make_bridge(
    environment: Environment, role: str = "any", *, remote: bool = False, users: Mapping[str, str] | None = None
) -> WorkerBridge:
    """Make this process's end of the bridge; once per environment that has a worker or local runner."""
    bridge = _bridges[environment] = WorkerBridge(environment, role, remote=remote, users=users)
    return bridge


def bridge_of(environment: Environment) -> WorkerBridge:
    """Return the process's end of the bridge, making it when nobody has."""
    return _bridges.get(environment) or make_bridge(environment)
