"""Rules of `[population]`: addresses that exist in principle, channels that can be told apart and filled."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network

from loadtest.profile.model import Profile
from loadtest.profile.placeholders import scan
from loadtest.profile.population import MAX_CHANNELS
from loadtest.profile.rules.objection import Objection, Rule
from loadtest.profile.wording import show


def addresses_are_addresses(profile: Profile) -> Iterator[Objection]:
    """Each entry is an address, a range that runs upwards, or a network."""
    for number, entry in enumerate(profile.population.source_addresses):
        if not _is_source(entry):
            yield Objection(
                (f"population.source_addresses.{number}",),
                f'found {show(entry)}, allowed: an address, a range "127.0.1.1-127.0.1.8" or a network "127.0.1.0/28"',
            )


def _is_source(entry: str) -> bool:
    try:
        if "/" in entry:
            return bool(ip_network(entry.strip(), strict=False))
        first, dash, last = entry.partition("-")
        ends = [ip_address(end.strip()) for end in ((first, last) if dash else (first,))]
    except ValueError:
        return False
    return ends[0].version == ends[-1].version and int(ends[0]) <= int(ends[-1])


def channels_can_be_filled(profile: Profile) -> Iterator[Objection]:
    """A group gives a client at most one channel, so it needs as many clients as seats."""
    connections = profile.population.connections
    for number, group in enumerate(profile.population.channels):
        seats = group.count * (group.clients_per_channel or 0)
        if seats > connections:
            key = f"population.channels.{number}"
            yield Objection(
                (f"{key}.clients_per_channel", f"{key}.count", "population.connections"),
                f"found {group.clients_per_channel} for each of {group.count} channels, which takes {seats:,} clients; "
                f"allowed: at most {connections // group.count:,} with {connections:,} connections (or leave it out)",
            )


def channels_have_names(profile: Profile) -> Iterator[Objection]:
    """Every channel of the population has a name of its own."""
    groups = profile.population.channels
    bad = False
    for number, group in enumerate(groups):
        key = f"population.channels.{number}"
        if scan(group.name).stray is not None or set(scan(group.name).names) - {"n"} or scan(group.name).number:
            bad = True
            yield Objection(
                (f"{key}.name",), f"found {show(group.name)}, allowed in braces: {{n}}, the channel's number"
            )
        elif group.count > 1 and not scan(group.name).names:
            bad = True
            yield Objection(
                (f"{key}.name", f"{key}.count"),
                f'found {show(group.name)} for {group.count:,} channels; add {{n}}, as in "{group.name}-{{n}}"',
            )
    total = sum(group.count for group in groups)
    if total > MAX_CHANNELS:
        yield Objection(("population.channels",), f"found {total:,} channels in all, allowed: at most {MAX_CHANNELS:,}")
    elif not bad and len(groups) > 1 and len(set(profile.channel_names)) < total:
        yield Objection(("population.channels",), "two groups give the same names; tell them apart by name")


RULES: tuple[Rule, ...] = (addresses_are_addresses, channels_can_be_filled, channels_have_names)
