"""The nodes of every version: which are healthy, and whose turn it is.

Law: round robin over the healthy nodes of a version. When none is healthy the turn goes over all of them: then the
client finds out itself, which is no worse than refusing it here, and right when only our own probing is late
(Source: Envoy's load-balancer panic mode).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from reference_gateway.errors import SettingError

_STRIKES: Final = 2


class Node:
    """One gateway node as godserver sees it; healthy until proven otherwise, twice in a row."""

    __slots__ = ("host", "port", "strikes", "url", "version")

    def __init__(self, url: str, version: str) -> None:
        where = urlsplit(url)
        if where.scheme not in ("ws", "wss") or not where.hostname or where.port is None:
            raise SettingError(f"RG_FLEET: {url!r} is not a gateway URL such as ws://127.0.0.1:8001/socket.io/")
        self.url = url
        self.version = version
        self.host = where.hostname
        self.port = where.port
        self.strikes = 0

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
        if not urls or not all(urls.values()):
            raise SettingError("RG_FLEET: give at least one version, each with at least one gateway URL")
        self._nodes = {version: [Node(url, version) for url in given] for version, given in urls.items()}
        self._rings = dict(self._nodes)
        self._turns = dict.fromkeys(urls, 0)

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

    def report(self, node: Node, answered: bool) -> bool:
        """Note the result of one probe; return whether the node's health changed."""
        was_healthy = node.healthy
        node.strikes = 0 if answered else node.strikes + 1
        if node.healthy == was_healthy:
            return False
        nodes = self._nodes[node.version]
        self._rings[node.version] = [other for other in nodes if other.healthy] or nodes
        return True
