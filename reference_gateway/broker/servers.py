"""One broker made of one or two servers: which of them takes writes, and which is asked and listened to.

    write --> primary  --replication (pub/sub included)-->  replica <-- read, subscribe
                 |  \\--gone, frozen, demoted: look for the primary again--> ROLE of each
                 \\--nobody is primary: who `promotes` makes the replica that has most of it the primary

Law: one process of a stack, its only writer of messages, promotes; all others look. So two primaries never both take
messages: a server that comes back believing to be one is told by the promoter whom to follow. With a single server
nothing of this happens: a failed command is a failed command.

Source: Redis replication, "ROLE" and "REPLICAOF"; that the writer decides (and not a quorum of sentinels) is ours, and
enough where there is one writer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

_LOOK_S: Final = 0.5
_TEND_S: Final = 1.0


class Servers:
    """The servers of one broker, as one process uses them. Create it inside the event loop.

    Args:
        urls: the first is the primary at the start, the last is listened to.
        timeout_s: a server that does not answer a command for so long is given up.
        promotes: whether this process may make a replica the primary.
    """

    def __init__(self, urls: Sequence[str], timeout_s: float, *, promotes: bool = False) -> None:
        self._urls = list(urls)
        # A repeated PUBLISH could deliver twice (law 1 of `contract`), hence no retry here.
        self._clients: list[Any] = [
            Redis.from_url(
                url,
                single_connection_client=True,
                protocol=2,
                socket_timeout=timeout_s,
                socket_connect_timeout=timeout_s,
                retry=Retry(NoBackoff(), 0),
            )
            for url in urls
        ]
        self._promotes = promotes
        self._primary = 0
        self._listening = len(self._urls) - 1
        self._looking = asyncio.Lock()
        self.failovers = 0
        self._tending: asyncio.Task[None] | None = None
        if promotes and len(urls) > 1:
            self._tending = asyncio.get_running_loop().create_task(self._tend(), name="broker-tending")

    @property
    def redundant(self) -> bool:
        """Whether there is more than one."""
        return len(self._urls) > 1

    @property
    def listening_url(self) -> str:
        """The server to subscribe at."""
        return self._urls[self._listening]

    def listen_elsewhere(self) -> None:
        """Choose another server to subscribe at: this one failed."""
        self._listening = (self._listening + 1) % len(self._urls)

    async def write(self, *command: Any) -> Any:
        """Run a command on the primary. When it fails, the next one finds the server that is primary then.

        Raises:
            RedisError, OSError: it failed; whether it was carried out is not known, so it is not repeated here.
        """
        primary = self._primary
        try:
            return await self._clients[primary].execute_command(*command)
        except (RedisError, OSError):
            if self.redundant:
                await self._look(primary)
            raise

    async def read(self, *command: Any) -> Any:
        """Run a command on the server that is listened to, or else on another. Raises as `write`."""
        turns = 2 * len(self._urls) if self.redundant else 1  # a connection may be a dead server's: then a new one
        for turn in range(self._listening, self._listening + turns - 1):
            try:
                return await self._clients[turn % len(self._urls)].execute_command(*command)
            except (RedisError, OSError) as error:
                log.info("another server is asked: %s", error)
        last = (self._listening + turns - 1) % len(self._urls)
        return await self._clients[last].execute_command(*command)

    async def close(self) -> None:
        """End all connections."""
        if self._tending is not None:
            self._tending.cancel()
            await asyncio.gather(self._tending, return_exceptions=True)
        for client in self._clients:
            await client.aclose()

    async def _look(self, failed: int) -> None:
        """Find the primary after `failed` failed as one; all who ask at once share one answer."""
        async with self._looking:
            if self._primary != failed:
                return
            roles = await asyncio.gather(*(self._role(url) for url in self._urls))
            found = [at for at, role in enumerate(roles) if role is not None and role[0] == "master"]
            promoted = await self._promote(roles) if self._promotes and not found else []
            found = found or promoted
            if not found:
                log.warning("no server of the broker is its primary now")
            elif promoted or failed not in found:
                self._primary = found[0]
                self.failovers += 1
                log.warning("the primary of the broker is %s now", _where(self._urls[self._primary]))

    async def _promote(self, roles: Sequence[tuple[str, int] | None]) -> list[int]:
        """Make the replica that has most the primary; return it, nothing if there is none."""
        replicas = [at for at, role in enumerate(roles) if role is not None]
        if not replicas:
            return []
        best = max(replicas, key=lambda at: (roles[at] or ("", -1))[1])
        return [best] if await self._order(self._urls[best], "NO", "ONE") else []

    async def _tend(self) -> None:
        """Tell who believes to be the primary, and is not, whom to follow."""
        while True:
            await asyncio.sleep(_TEND_S)
            host, port = urlsplit(self._urls[self._primary]).hostname, urlsplit(self._urls[self._primary]).port
            for at, url in enumerate(self._urls):
                role = await self._role(url) if at != self._primary else None
                if role is not None and role[0] == "master" and await self._role(self._urls[self._primary]) is not None:
                    log.warning("%s follows the primary again", _where(url))
                    await self._order(url, str(host), str(port))

    async def _role(self, url: str) -> tuple[str, int] | None:
        """Return (master or slave, replication offset) of a server, None if it does not answer."""
        answer = await self._once(url, "ROLE")
        if answer is None:
            return None
        kind = answer[0].decode()
        return kind, int(answer[1] if kind == "master" else answer[4])

    async def _order(self, url: str, host: str, port: str) -> bool:
        return await self._once(url, "REPLICAOF", host, port) is not None

    async def _once(self, url: str, *command: str) -> Any:
        """Ask one server one thing over a connection of its own; None if it does not answer in time."""
        client: Any = Redis.from_url(url, protocol=2, retry=Retry(NoBackoff(), 0))
        try:
            async with asyncio.timeout(_LOOK_S):
                return await client.execute_command(*command)
        except (RedisError, OSError, TimeoutError) as error:
            log.info("%s does not answer %s: %s", _where(url), command[0], error)
            return None
        finally:
            await client.aclose()


def _where(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}"
