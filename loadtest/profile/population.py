"""Who is there: `[population]`, how many clients, how they are dealt to herds, addresses and channels."""

from __future__ import annotations

from pydantic import Field

from loadtest.profile.quantities import Count, PerSecond
from loadtest.profile.section import Section, Several

MAX_CONNECTIONS = 10_000_000
MAX_CHANNELS = 1_000_000


class ChannelGroup(Section):
    """A family of channels; it gives client i at most one: channel i % count, if i // count < clients_per_channel."""

    name: str = Field(
        min_length=1,
        description="Name of the channels; {n} counts from 0 inside the group.",
        examples=["channel-{n}"],
    )
    count: Count = Field(default=1, ge=1, le=MAX_CHANNELS, description="How many channels of this name.")
    clients_per_channel: Count | None = Field(
        default=None,
        ge=1,
        le=MAX_CONNECTIONS,
        description="Subscribers of each channel. Default: everybody, connections / count rounded up.",
    )
    rate_per_s: PerSecond | None = Field(
        default=None,
        alias="rate",
        le=1_000_000,
        description="Messages per second, all channels of this group together. Default: its part of publish.rate.",
    )


class Population(Section):
    """The clients that connect, subscribe and listen."""

    connections: Count = Field(
        ge=1, le=MAX_CONNECTIONS, description="Clients, each with one connection.", examples=[1000]
    )
    herd_size: Count = Field(default=250, ge=1, le=20_000, description="Connections per Locust user.")
    source_addresses: Several[str] = Field(
        default=(),
        description='Local addresses to connect from, single ("10.0.0.5") or ranges ("127.0.1.1-127.0.1.8"). '
        "Default: chosen automatically.",
    )
    channels: Several[ChannelGroup] = Field(default=(), description="Groups of channels that clients subscribe to.")
