"""May this worker take part? What it says of itself, held against what the run deals.

    worker --hello: version, role, users--> unfit(hello, Needs) --> "" or why not, in a sentence

Laws: master and workers run one version, deal the same user classes, and mean the same profile by each. A profile is
told by its hash; "" where a class names none of its own, or just the default: then it takes the run's, which `loadtest
run` sends with the plan, and Locust with the master's options.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from locust import User

from loadtest import __version__
from loadtest.users.attach import named_profile
from loadtest.users.herd_user import HerdUser
from loadtest.users.publisher_user import PublisherUser

ROLES = ("herd", "publisher", "any")
MOST_USERS = 1_000


@dataclass(frozen=True)
class Needs:
    """What a run asks of its workers.

    Attributes:
        users: class that is dealt -> hash of the profile it names; "" for none.
        sends_profile: the profile goes to every worker with the plan.
    """

    users: Mapping[str, str] = field(default_factory=dict)
    sends_profile: bool = False


def users_of(user_classes: Iterable[type[User]]) -> dict[str, str]:
    """Return what master or worker has: class -> hash of the profile it names, as `Needs.users`.

    Raises:
        ProfileError: a profile is wrong.
    """
    return {
        kind.__name__: named_profile(kind) if issubclass(kind, HerdUser | PublisherUser) else ""
        for kind in user_classes
    }


def unfit(hello: Mapping[str, Any], needs: Needs) -> str:
    """Return why a worker cannot take part, "" when it can; what it says of itself is another process's words."""
    if hello.get("version") != __version__:
        return f"it runs version {str(hello.get('version'))[:40]}, the master {__version__}"
    if hello.get("role", "any") not in ROLES:
        return f"it has the role {str(hello.get('role'))[:40]!r}; there are {', '.join(ROLES)}"
    users = hello.get("users") if needs.users else {}
    if not isinstance(users, Mapping) or len(users) > MOST_USERS:
        return "it does not say which users it has"
    missing = sorted(set(needs.users) - set(users))
    if missing:
        has = ", ".join(sorted(str(name)[:40] for name in users)) or "none"
        return f"the run deals the users {', '.join(missing)}, its locustfile has {has}; join with loadtest worker"
    return next(filter(None, (_differs(name, str(users[name]), needs) for name in sorted(needs.users))), "")


def _differs(name: str, theirs: str, needs: Needs) -> str:
    """Return what is wrong with the profile that a worker means by a user class, or ""."""
    ours = needs.users[name]
    if theirs in ("", ours):
        return ""
    if needs.sends_profile:
        return f"its {name} has another profile than the run's; leave --loadtest-profile out, the run sends its own"
    return f"its {name} has another profile than the master's; give it the same locustfile and --loadtest-profile"
