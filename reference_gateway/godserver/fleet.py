"""The nodes of every version: which are healthy, which have room, and whose turn it is.

Law: turns go round the healthy nodes of a version, more of them to those with more room: one to four by the load that a
node tells (`scaling.factor`), none from `FULL` on while another has room. Nodes that are equally full, or tell nothing,
take equal turns. When none is healthy the turn goes over all of them: then the
client finds out itself, which is no worse than refusing it here, and right when only our own probing is late
(Source: Envoy's load-balancer panic mode).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from reference_gateway.errors import SettingError

FULL: Final = 0.8
_STRIKES: Final = 2
_MOST_TURNS: Final = 4


class Node:
    """One gateway node as godserver sees it; healthy until proven otherwise, twice in a row."""

    __slots__ = ("host", "load", "port", "strikes", "url", "version")

    def __init__(self, url: str, version: str) -> None:
        where = urlsplit(url)
        if where.scheme not in ("ws", "wss") or not where.hostname or where.port is None:
            raise SettingError(f"RG_FLEET: {url!r} is not a gateway URL such as ws://127.0.0.1:8001/socket.io/")
        self.url = url
        self.version = version
        self.host = where.hostname
        self.port = where.port
        self.strikes = 0
        self.load = 0.0

    @property
    def turns(self) -> int:
        """Turns in a round, by the room it has."""
        return 0 if self.load >= FULL else math.ceil(_MOST_TURNS * (1.0 - self.load / FULL))

    @property
    def healthy(self) -> bool:
        """Whether clients are sent to it."""
        return self.strikes < _STRIKES


class Fleet:
    """All nodes, by version, in the order given."""

    def __init__(self, urls: Mapping[str, Sequence[str]]) -> None:
        """Take the gateway URLs of each version.

        Raises:
            SettingError: no version, a version without nodes, or something that is not a gateway URL.
        """
        self._nodes: dict[str, list[Node]] = {}
        self._rings: dict[str, list[Node]] = {}
        self.replace(urls)
        self._turns = dict.fromkeys(urls, 0)

    def replace(self, urls: Mapping[str, Sequence[str]]) -> None:
        """Have these nodes from now on; what is known of those that stay is kept, and the versions stay the same.

        Raises:
            SettingError: as when made, or other versions; nothing has changed then.
        """
        if not urls or not all(urls.values()) or (self._nodes and set(urls) != set(self._nodes)):
            raise SettingError("RG_FLEET: give at least one version, each with at least one gateway URL")
        known = {(node.url, node.version): node for node in self.nodes}
        self._nodes = {
            version: [known.get((url, version)) or Node(url, version) for url in given]
            for version, given in urls.items()
        }
        for version in urls:
            self._turn_round(version)

    @property
    def versions(self) -> tuple[str, ...]:
        """Versions with nodes, in the order given."""
        return tuple(self._nodes)

    @property
    def nodes(self) -> list[Node]:
        """All nodes of all versions."""
        return [node for nodes in self._nodes.values() for node in nodes]

    def next_node(self, version: str) -> Node:
        """Return the node of `version` whose turn it is."""
        ring = self._rings[version]
        turn = self._turns[version] % len(ring)
        self._turns[version] = turn + 1
        return ring[turn]

    def report(self, node: Node, answered: bool, load: float | None = None) -> bool:
        """Note the result of one probe, and the load it told if it told one; return whether its health changed."""
        was_healthy, turns = node.healthy, node.turns
        node.strikes = 0 if answered else node.strikes + 1
        if load is not None:
            node.load = load
        if node.healthy != was_healthy or node.turns != turns:
            self._turn_round(node.version)
        return node.healthy != was_healthy

    def _turn_round(self, version: str) -> None:
        """Lay out the turns of a round, each node's spread over it (Source: nginx's smooth weighted round robin)."""
        nodes = self._nodes[version]
        ready = [node for node in nodes if node.healthy] or nodes
        turns = [node.turns for node in ready]
        if len(set(turns)) == 1:
            self._rings[version] = ready
            return
        ring, owed = [], [0] * len(ready)
        for _ in range(sum(turns)):
            owed = [sum_ + each for sum_, each in zip(owed, turns, strict=True)]
            place = owed.index(max(owed))
            owed[place] -= sum(turns)
            ring.append(ready[place])
        self._rings[version] = ring
