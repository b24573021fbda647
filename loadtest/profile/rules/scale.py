"""Rules of `[scale]`: what it computes is not given beside it."""

from __future__ import annotations

from collections.abc import Iterator

from loadtest.profile.model import Profile
from loadtest.profile.rules.objection import Objection, Rule


def scaled_keys_are_given_once(profile: Profile) -> Iterator[Objection]:
    """Give-up time and admitted rate of the run follow from the real system's."""
    if profile.scale is not None and profile.ramp.departs("connect_timeout_s"):
        yield Objection(
            ("ramp.connect_timeout", "scale.give_up", "scale.time"),
            "with [scale] it follows from scale.give_up and scale.time; leave it out",
        )
    of_reference = profile.target.stack == "reference"  # others may not set it at all, see `rules.target`
    if profile.scale is not None and of_reference and profile.target.departs("admit_per_s"):
        yield Objection(
            ("target.admit", "scale.cure.admit"), "with [scale] it follows from scale.cure.admit; leave it out"
        )


def scaled_population_is_smaller(profile: Profile) -> Iterator[Objection]:
    """A run speaks for at least as many clients as it has."""
    scale, connections = profile.scale, profile.population.connections
    if scale is not None and scale.clients < connections:
        yield Objection(
            ("scale.clients", "population.connections"),
            f"found {scale.clients:,}, allowed: at least population.connections, {connections:,}",
        )


def scaled_clients_come_back(profile: Profile) -> Iterator[Objection]:
    """Without reconnects there is no storm to scale."""
    if profile.scale is not None and profile.reconnect.policy == "none":
        yield Objection(
            ("reconnect.policy", "scale"), 'found "none": clients that never come back make no storm; name another'
        )


RULES: tuple[Rule, ...] = (scaled_keys_are_given_once, scaled_population_is_smaller, scaled_clients_come_back)
