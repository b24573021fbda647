"""Faults of the broker and the ways to it: cut off, late to hear, or exchanged for its replica.

    consumer (node, collections, replica) ==link==> broker server         `link`: a relay in this process
       partition of a part: every link that has the part at one end
       replica-lag:         what the replica hears of the primary, by the link between them
       failover:            FAILOVER, the server's own planned exchange of primary and replica

Source: Redis and Valkey, "FAILOVER" and "ROLE".
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from reference_gateway.errors import FaultError
from reference_gateway.stack.faults.link import Link
from reference_gateway.stack.faults.order import How
from reference_gateway.stack.part import Part

FAILOVER_S: Final = 5.0
_LOOK_S: Final = 0.02


class Partition:
    """Cut links: `refuse` ends what is open and refuses what comes, `silence` lets nothing through and tells nobody."""

    def __init__(self, links: Sequence[Link], how: How) -> None:
        self._links = links
        self._how = how

    async def apply(self) -> None:
        """See `Fault.apply`."""
        for link in self._links:
            link.cut(refuse=self._how == "refuse")

    async def undo(self) -> None:
        """See `Fault.undo`."""
        shut = []
        for link in self._links:
            try:
                await link.mend()
            except OSError as error:
                shut.append(f"the way of {link.consumer} to {link.server} cannot be opened again: {error.strerror}")
        if shut:
            raise FaultError("; ".join(shut))


class ReplicaLag:
    """Let everything from the primary reach the replica late."""

    def __init__(self, links: Sequence[Link], delay_s: float) -> None:
        self._links = links
        self._delay_s = delay_s

    async def apply(self) -> None:
        """See `Fault.apply`."""
        for link in self._links:
            link.delay_s = self._delay_s

    async def undo(self) -> None:
        """See `Fault.undo`."""
        for link in self._links:
            link.delay_s = 0.0


class Failover:
    """Make the replica the primary, and the primary its replica. There is nothing to take back: the roles are equal."""

    def __init__(self, servers: Sequence[Part]) -> None:
        self._servers = servers

    async def apply(self) -> None:
        """See `Fault.apply`."""
        clients: list[Any] = [Redis.from_url(part.url, protocol=2, socket_timeout=FAILOVER_S) for part in self._servers]
        try:
            roles = [(await client.execute_command("ROLE"))[0] for client in clients]
            if b"master" not in roles or b"slave" not in roles:
                raise FaultError("the broker has no primary with a replica now")
            primary = clients[roles.index(b"master")]
            async with asyncio.timeout(FAILOVER_S):
                await primary.execute_command("FAILOVER")
                while (await primary.execute_command("ROLE"))[0] == b"master":
                    await asyncio.sleep(_LOOK_S)
        except (RedisError, OSError, TimeoutError) as error:
            raise FaultError(f"the broker did not fail over: {error or 'no answer in time'}") from None
        finally:
            for client in clients:
                await client.aclose()

    async def undo(self) -> None:
        """See `Fault.undo`."""
