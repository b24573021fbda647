"""The population of a profile, as the herd asks for it: computed per client index, nothing stored."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from loadtest.herd.sockets import Target
from loadtest.profile.model import Profile
from loadtest.profile.population import ChannelGroup
from loadtest.protocol.dialect import Dialect
from loadtest.protocol.handshake import upgrade_request
from loadtest.protocol.template import Template

_MOST_REQUESTS = 4096
"""Whole requests kept, where they differ in nothing but the target and one of a few keys."""


class ProfileClients:
    """Implement `herd.clients.Clients` for a profile.

    Args:
        listening: True for the population; False for publishers, who subscribe to nothing.
    """

    def __init__(self, profile: Profile, dialect: Dialect, run: str, *, listening: bool = True) -> None:
        self._profile = profile
        self._dialect = dialect
        self._run = run
        self._own = profile.users is not None or bool(profile.client.variables)
        self._spans = profile.channels.spans if listening else ()
        self._seats = [_seats(group) for group in profile.population.channels] if listening else []
        self._headers = [(name, Template(value)) for name, value in profile.client.headers.items()]
        self._query = [(name, Template(value)) for name, value in profile.client.query.items()]
        self._constant = not any(template.names for _, template in (*self._headers, *self._query))
        self._requests: dict[tuple[str, bytes], bytes] = {}
        self._known: dict[str, tuple[str, list[tuple[str, str]]]] = {}

    @property
    def groups(self) -> int:
        """Return how many channel groups there are."""
        return len(self._spans)

    def variables(self, index: int) -> Mapping[str, object]:
        """Return the values of client `index`'s placeholders."""
        if self._own:
            return self._profile.variables(index, self._run)
        return {"index": str(index), "client": f"c{index}", "run": self._run}  # as that does, at half the cost

    def channels(self, index: int) -> Sequence[int]:
        """Return the channel number in each group, -1 where the client has none.

        Clients beyond the profile's population, which Locust may spawn, share what is open to everybody.
        """
        return [
            span.first + index % span.count if index < seats else -1
            for span, seats in zip(self._spans, self._seats, strict=True)
        ]

    def channel_name(self, channel: int) -> str:
        """Return the name of a channel."""
        return self._profile.channel_names[channel]

    def upgrade(self, target: Target, variables: Mapping[str, object], key: bytes) -> bytes:
        """Return the HTTP request that opens the WebSocket of one client."""
        if self._constant and (request := self._requests.get((target.url, key))) is not None:
            return request
        known = self._known.get(target.url) if self._constant else None
        if known is None:
            query = {name: str(template.render(variables)) for name, template in self._query}
            headers = [(name, str(template.render(variables))) for name, template in self._headers]
            known = self._dialect.target(target.path, query), headers
            if self._constant:
                self._known[target.url] = known
        request = upgrade_request(target.host_header, known[0], key, known[1])
        if self._constant:
            if len(self._requests) >= _MOST_REQUESTS:
                self._requests.clear()
            self._requests[target.url, key] = request
        return request


def _seats(group: ChannelGroup) -> float:
    """Return how many clients a group has channels for: all, unless the profile says how many in each."""
    return math.inf if group.clients_per_channel is None else group.count * group.clients_per_channel


def channel_groups(profile: Profile) -> list[int]:
    """Return, for each channel number, the group it belongs to."""
    return [group for group, span in enumerate(profile.channels.spans) for _ in range(span.count)]
