"""Send clients elsewhere, on order of the stack: those of another version's cohort, or a part of whoever is here.

    POST /v1/leave?shares=sync:0.5,bifrost-1:0.5&over=2     who belongs to another version by these shares
    POST /v1/leave?part=0.25&over=2                         a quarter of the clients, whoever they are
    -> 202 {"leaving": n}; the closes follow, spread over `over` seconds
    -> 400 an order that cannot be read; 401 without the token of the nodes; 404 where a node has none

Law: a client moves by the id it gave in CONNECT's auth, the one its bootstrap was answered by; who gave none
counts by the id of its session, and may be sent away for nothing. A node only sends away. Where the client goes
then is for godserver to say, and the client asks it by itself.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs

from reference_gateway.errors import SettingError
from reference_gateway.godserver.cohort import Cohorts

PATH: Final = "/v1/leave"
MAX_OVER_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Relocation:
    """Who is to leave a node, and over how many seconds.

    Attributes:
        shares: the share of each version from now on; None = go by `part`.
        part: of the clients of the node, 0 to 1.
        over_s: seconds that the closes are spread over; 0 = at the node's own pace, or at once where it has none.
    """

    shares: Mapping[str, float] | None
    part: float
    over_s: float

    @classmethod
    def parse(cls, query: str) -> Relocation:
        """Return the order in a query string.

        Raises:
            SettingError: names the key, what was found and what is allowed.
        """
        given = {key: values[-1] for key, values in parse_qs(query, keep_blank_values=True).items()}
        unknown = sorted(set(given) - {"shares", "part", "over"})
        if unknown or ("shares" in given) == ("part" in given):
            raise SettingError("allowed is shares=VERSION:SHARE,... or part=0..1, and over=SECONDS")
        shares = None
        if "shares" in given:
            pairs = (pair.rpartition(":") for pair in given["shares"].split(","))
            shares = {version: _number("shares", share, 1.0) for version, _, share in pairs}
            Cohorts(shares, tuple(shares))
        part = _number("part", given.get("part", "0"), 1.0)
        return cls(shares, part, _number("over", given.get("over", "0"), MAX_OVER_S))

    @property
    def query(self) -> str:
        """The order as a query string."""
        who = f"part={self.part:.9g}"
        if self.shares is not None:
            who = "shares=" + ",".join(f"{version}:{share:.12g}" for version, share in self.shares.items())
        return f"{who}&over={self.over_s:g}"

    def choose(self, version: str, clients: Sequence[str]) -> list[int]:
        """Return the places in `clients` of those who leave a node of `version`; "" = not one yet.

        Cost: 2 us per client.
        """
        if self.shares is None:
            count = round(self.part * len(clients))
            return [place * len(clients) // count for place in range(count)]
        cohorts = Cohorts(self.shares, tuple(self.shares))
        return [
            place
            for place, client in enumerate(clients)
            if client and cohorts.version_of(client.encode("utf-8", "surrogatepass")) != version
        ]


def is_authorized(token: str, authorization: str) -> bool:
    """Return whether an Authorization header holds the nodes' token."""
    return hmac.compare_digest(authorization.encode("utf-8", "surrogateescape"), f"Bearer {token}".encode())


def _number(key: str, text: str, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= most:
        raise SettingError(f"{key}: {text!r} is not a number from 0 to {most:g}")
    return value
