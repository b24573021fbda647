"""Faults of the client's side: what clients do to a server that did nothing to them.

`drop`, `blackhole`, `half-open` and `slow-reader` happen to a share or a number of the population's own connections;
`slowloris` and `mute` are extra sockets beside it.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from loadtest.profile.fault import FaultBase, LastingFault
from loadtest.profile.quantities import Bytes, Count, PerSecond, Seconds, Share
from loadtest.profile.section import Section

MOST_EXTRA = 10_000


class Aim(Section):
    """Which of the live connections a fault happens to; chosen by the profile's seed."""

    share: Share = Field(default=1.0, gt=0, description="Share of the live connections.")
    number: Count | None = Field(default=None, gt=0, description="How many live connections, instead of a share.")

    @property
    def aim(self) -> dict[str, float]:
        """Return `share` or `number` for the herds."""
        if self.number is not None:
            return {"number": self.number}
        return {"share": self.share}


class DropFault(Aim, FaultBase):
    """Let the harness close its own sockets."""

    kind: Literal["drop"] = Field(description="The harness closes its own connections.")
    how: Literal["close", "reset"] = Field(default="close", description="A WebSocket close and a FIN, or a TCP reset.")


class BlackholeFault(Aim, LastingFault):
    """Let clients fall silent: their sockets stay open, nothing is read or written any more."""

    kind: Literal["blackhole"] = Field(
        description="Clients stop reading and writing and never close, until it is taken back; then they come back."
    )


class HalfOpenFault(Aim, LastingFault):
    """Let clients vanish without a FIN."""

    kind: Literal["half-open"] = Field(
        description="Clients vanish: nothing they are sent is acknowledged, no FIN. They connect anew at once."
    )


class SlowReaderFault(Aim, LastingFault):
    """Let clients read slower than they are written to."""

    kind: Literal["slow-reader"] = Field(description="Clients read so many bytes a second, from a small buffer.")
    bytes_per_s: Bytes = Field(
        default=100, gt=0, description='Bytes that each of them reads in a second, such as "100B".', examples=["100B"]
    )


class ExtraFault(LastingFault):
    """Sockets beside the population, opened and held by the harness's workers."""

    number: Count = Field(default=100, gt=0, le=MOST_EXTRA, description="How many extra sockets.")
    open_per_s: PerSecond = Field(
        default=1000.0, alias="open", gt=0, le=100_000, description="How many of them are opened per second."
    )


class SlowlorisFault(ExtraFault):
    """Extra sockets that send their handshake byte by byte."""

    kind: Literal["slowloris"] = Field(description="Extra sockets send their handshake byte by byte, without end.")
    byte_every_s: Seconds = Field(default=1.0, alias="byte_every", gt=0, le=3600, description="Time between two bytes.")


class MuteFault(ExtraFault):
    """Extra sockets that never speak."""

    kind: Literal["mute"] = Field(description="Extra sockets connect and never speak.")
    after: Literal["connect", "upgrade"] = Field(
        default="connect", description="Mute from the TCP connection on, or once the WebSocket stands."
    )
