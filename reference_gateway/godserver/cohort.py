"""Which version a client belongs to: a hash of its id, never a coin.

    id --blake2b--> position in [0, 1)    | sync ............ | bifrost-1 ........ |
                                          0                  0.6                  1

Law: the same id is in the same place for ever, on every server; raising a version's share moves only the clients that
join it. Shares follow the order of the fleet, each client falls into the interval that holds its position.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

from reference_gateway.errors import SettingError

_TOLERANCE = 1e-9


def position_of(client: bytes) -> float:
    """Return the position of a client id in [0, 1), uniform over ids."""
    return int.from_bytes(hashlib.blake2b(client, digest_size=6).digest(), "big") / float(1 << 48)


class Cohorts:
    """Versions with their shares; immutable, a change of shares is a new object."""

    def __init__(self, shares: Mapping[str, float], versions: Sequence[str]) -> None:
        """Take the share of each version, in [0, 1], together 1; one that is not named gets 0.

        Raises:
            SettingError: an unknown version, a share that is not a number, or a wrong sum.
        """
        self.shares = check_shares(shares, versions)
        self._bounds: list[tuple[float, str]] = []
        bound = 0.0
        for version in versions:
            if self.shares[version] > 0:
                bound += self.shares[version]
                self._bounds.append((bound, version))

    def version_of(self, client: bytes) -> str:
        """Return the version that serves `client`."""
        position = position_of(client)
        for bound, version in self._bounds:
            if position < bound:
                return version
        return self._bounds[-1][1]


def check_shares(shares: Any, versions: Sequence[str]) -> dict[str, float]:
    """Return the share of every version, in fleet order.

    Raises:
        SettingError: names what is wrong and what is allowed.
    """
    if not isinstance(shares, dict):
        raise SettingError('shares are a JSON object, e.g. {"sync": 0.5, "bifrost-1": 0.5}')
    for version, share in shares.items():
        if version not in versions:
            raise SettingError(f"no node of version {version!r} is running: shares are for {', '.join(versions)}")
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
            raise SettingError(f"share of {version}: {share!r} is not a number from 0 to 1")
    total = math.fsum(shares.values())
    if abs(total - 1) > _TOLERANCE:
        raise SettingError(f"the shares add up to {total:g}, not 1")
    return {version: float(shares.get(version, 0.0)) for version in versions}
