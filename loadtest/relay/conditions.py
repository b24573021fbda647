"""What the network is like at present: which impairments are in place, and what that means for one connection.

    place(name, Impairment) --> Conditions --of(connection, direction)--> Weather     clear(name)

Laws: a connection's fate follows from the impairment's seed and the connection's number, never from time or chance.
Delays and jitters of several impairments add up; of several bandwidths the narrowest holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from zlib import crc32

UP, DOWN = "up", "down"
"""From client to gateway, from gateway to client."""

KINDS = ("delay", "jitter", "bandwidth", "stall", "cut")
_SHARES = 1 << 32


@dataclass(frozen=True, slots=True)
class Impairment:
    """One thing that is wrong with the network.

    Attributes:
        kind: one of `KINDS`. direction: "up", "down" or "both". share: of the connections, 0..1, chosen by `seed`.
        delay_s: for each byte (delay), or at most (jitter). bytes_per_s: of each connection and direction (bandwidth).
    """

    kind: str
    seed: str
    direction: str = "both"
    share: float = 1.0
    delay_s: float = 0.0
    bytes_per_s: float = 0.0

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Impairment:
        """Return the impairment that plain values describe.

        Raises:
            ValueError: they do not.
        """
        try:
            made = cls(**{key: data[key] for key in cls.__slots__ if key in data})
            usable = 0 < made.share <= 1 and made.delay_s >= 0 and made.bytes_per_s >= 0
        except TypeError as error:
            raise ValueError(f"no impairment: {error}") from error
        if made.kind not in KINDS or made.direction not in (UP, DOWN, "both") or not usable:
            raise ValueError(f"no impairment: {dict(data)}")
        return made

    def strikes(self, connection: int) -> bool:
        """Whether connection number `connection` is of the share."""
        return self.share >= 1 or crc32(f"{self.seed}/{connection}".encode()) < self.share * _SHARES


class Weather(NamedTuple):
    """What one direction of one connection meets: `bytes_per_s` 0 is no limit."""

    delay_s: float = 0.0
    jitter_s: float = 0.0
    bytes_per_s: float = 0.0
    stalled: bool = False


FINE = Weather()


class Conditions:
    """All impairments in place, by the name of their fault."""

    def __init__(self) -> None:
        self.present: dict[str, Impairment] = {}

    def is_cut(self, connection: int) -> bool:
        """Whether the connection may not stand at present."""
        return any(each.kind == "cut" and each.strikes(connection) for each in self.present.values())

    def of(self, connection: int, direction: str) -> Weather:
        """Return what bytes of a connection meet in one direction."""
        here = [
            each for each in self.present.values() if each.direction in (direction, "both") and each.strikes(connection)
        ]
        if not here:
            return FINE
        limits = [each.bytes_per_s for each in here if each.kind == "bandwidth"]
        return Weather(
            sum(each.delay_s for each in here if each.kind == "delay"),
            sum(each.delay_s for each in here if each.kind == "jitter"),
            min(limits, default=0.0),
            any(each.kind == "stall" for each in here),
        )
