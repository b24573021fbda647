"""Faults of the network between clients and gateways, put in place at the relay (`[relay]`)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from loadtest.profile.fault import LastingFault
from loadtest.profile.quantities import Bytes, Seconds, Share


class NetworkFault(LastingFault):
    """A fault of the network, for a share of the connections, present and to come; chosen by the profile's seed."""

    share: Share = Field(default=1.0, gt=0, description="Share of the connections, those to come included.")


class DirectedFault(NetworkFault):
    """A fault of one direction of the network, or both."""

    direction: Literal["both", "up", "down"] = Field(
        default="both", description="up: from clients to gateways; down: from gateways to clients."
    )


class NetworkDelayFault(DirectedFault):
    """Make every byte wait."""

    kind: Literal["network-delay"] = Field(description="The relay holds every byte for a time.")
    delay_s: Seconds = Field(alias="delay", gt=0, le=60, description="For how long.", examples=["100ms"])


class NetworkJitterFault(DirectedFault):
    """Make bytes wait for times that differ."""

    kind: Literal["network-jitter"] = Field(description="The relay holds bytes for a random time; none overtakes.")
    jitter_s: Seconds = Field(
        alias="jitter", gt=0, le=60, description="The longest time; evenly spread from 0.", examples=["50ms"]
    )


class NetworkBandwidthFault(DirectedFault):
    """Let only so many bytes through."""

    kind: Literal["network-bandwidth"] = Field(description="The relay lets so many bytes a second through.")
    bytes_per_s: Bytes = Field(gt=0, description="Of each connection, in each direction, a second.", examples=["16KiB"])


class NetworkStallFault(DirectedFault):
    """Let nothing through; nothing is lost."""

    kind: Literal["network-stall"] = Field(
        description="The relay lets nothing through, then all of it; connections stay."
    )


class NetworkCutFault(NetworkFault):
    """Cut connections, and let none be made."""

    kind: Literal["network-cut"] = Field(
        description="The relay resets connections, on both sides, and refuses new ones."
    )
