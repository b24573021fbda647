"""For `locust -f`: the population and the publisher of a profile, driven by Locust itself.

    locust -f loadtest/locustfile.py --loadtest-profile any-socketio --host ws://127.0.0.1:3000/socket.io/ \\
           --headless -u 21 -r 5 -t 60s        # a publisher, and 20 herds of population.herd_size connections each

Everything that makes it work is `attach()`; your own locustfile imports that and its base classes from
`loadtest.users.api`.
"""

from __future__ import annotations

from typing import Any

from locust import events
from locust.env import Environment

from loadtest.users.api import HerdUser, PublisherUser, attach


class Population(HerdUser):
    """Hold the profile's connections, one herd per Locust user."""


class Publisher(PublisherUser):
    """Publish what the profile says; one of them, beside the herds."""


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]  # Locust's
def _add_profile(parser: Any, **_: Any) -> None:
    parser.add_argument(
        "--loadtest-profile",
        default="any-socketio",
        env_var="LOADTEST_PROFILE",
        help="Profile: a path, or the name of a shipped one.",
    )


@events.init.add_listener  # type: ignore[untyped-decorator]  # Locust's
def _use_profile(environment: Environment, **_: Any) -> None:
    """Runs before the profiles are checked: `attach` comes after it."""
    Population.profile = Publisher.profile = str(
        getattr(environment.parsed_options, "loadtest_profile", "any-socketio")
    )


attach()
