"""The two users of `loadtest run`: the profile's population, and its publisher."""

from __future__ import annotations

from loadtest.users.herd_user import HerdUser
from loadtest.users.publisher_user import PublisherUser


class Population(HerdUser):
    """Hold the profile's connections, `herd_size` at a time."""


class Publisher(PublisherUser):
    """Publish what the profile says."""
