"""For `locust -f`: the population and the publisher of a profile, driven by Locust itself.

    locust -f loadtest/locustfile.py --loadtest-profile any-socketio --host ws://127.0.0.1:3000/socket.io/ \\
           --headless -u 21 -r 5 -t 60s        # a publisher, and 20 herds of population.herd_size connections each

Everything that makes it work is `attach()`; your own locustfile imports that and its base classes from
`loadtest.users.api`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from locust import events
from locust.env import Environment

from loadtest.profile.shelf import shipped_profiles
from loadtest.users.api import HerdUser, PublisherUser, attach
from loadtest.users.attach import DEFAULT_PROFILE


class Population(HerdUser):
    """Hold the profile's connections, one herd per Locust user."""


class Publisher(PublisherUser):
    """Publish what the profile says; one of them, beside the herds."""


class _Choices(list[str]):
    """What the web UI offers; on the command line any path or name is welcome, and checked later."""

    def __init__(self) -> None:
        local = {path.stem for path in Path("profiles").glob("*.toml")}
        super().__init__(dict.fromkeys(["any-socketio", *sorted({*shipped_profiles(), *local})]))

    def __contains__(self, _: object) -> bool:
        return True

    def offer(self, given: str) -> None:
        """Put what the command line names before the others, so that the form begins with it."""
        if given not in list(self):
            self.insert(0, given)


_CHOICES = _Choices()


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]  # Locust's
def _add_profile(parser: Any, **_: Any) -> None:
    parser.add_argument(
        "--loadtest-profile",
        default=DEFAULT_PROFILE,
        env_var="LOADTEST_PROFILE",
        help="what the connections do",
        choices=_CHOICES,
    )


@events.init.add_listener  # type: ignore[untyped-decorator]  # Locust's
def _use_profile(environment: Environment, **_: Any) -> None:
    """Runs before the profiles are checked: `attach` comes after it."""
    given = str(getattr(environment.parsed_options, "loadtest_profile", DEFAULT_PROFILE))
    _CHOICES.offer(given)
    Population.profile = Publisher.profile = given


@events.test_start.add_listener  # type: ignore[untyped-decorator]  # Locust's
def _use_chosen(environment: Environment, **_: Any) -> None:
    """Take the profile that the web UI's form says, on the master and, with its options, on the workers."""
    _use_profile(environment)


def _show(environment: Environment, out: str) -> Any:
    """Add the tabs to the web UI; a worker, and a headless run, never load them."""
    from loadtest.web.guest import show  # noqa: PLC0415 - pages and plots, for the master with a web UI alone

    return show(environment, out)


attach(_show)
