"""Which node holds which client: the registry of sockets that all nodes of a stack share, in the broker.

    node --comings and goings, gathered--> sockets:<process>   client -> how often it is connected there
                                           sockets             the processes that there are
    anybody --where(client)--> the processes that hold it

Laws: 1. A process's word about itself lives for `ALIVE_S` after the last time it spoke: one that dies is forgotten as a
whole, with all its clients, and nobody has to notice. One that ends takes its word back. 2. What comes or goes is known
within `BEAT_S`. 3. A registry that has been lost, or has expired while its process was frozen, is written anew, whole.
4. It is for finding a client, never for deciding about one: a write that fails costs freshness and no connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Protocol

from redis.exceptions import RedisError

from .contract import Broker, BrokerError
from .redis import RedisBroker

log = logging.getLogger(__name__)

BEAT_S: Final = 1.0
ALIVE_S: Final = 5
_PROCESSES: Final = "sockets"
_BATCH: Final = 1000
_CLOSE_S: Final = 1.0
# The field "" keeps the word of a process that holds nobody; no client has an empty name.
_SPEAK: Final = """
local known = redis.call('EXISTS', KEYS[1])
redis.call('SADD', KEYS[2], ARGV[2])
redis.call('HSET', KEYS[1], '', 0)
for at = 3, #ARGV, 2 do
  if redis.call('HINCRBY', KEYS[1], ARGV[at], ARGV[at + 1]) <= 0 then
    redis.call('HDEL', KEYS[1], ARGV[at])
  end
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return known
"""


class Store(Protocol):
    """The servers of a broker."""

    async def write(self, *command: Any) -> Any:
        """Run a command where writes go."""

    async def read(self, *command: Any) -> Any:
        """Run a command where reads go."""


class Registry:
    """What one process says of its clients, and how anybody asks. Create it inside the event loop.

    Args:
        process: a name that no other process has, not even its successor; None only asks.
        clients: gives all clients that are connected here now, one by one; called when all is to be written anew.
        beat_s, alive_s: the two times of the laws.
    """

    def __init__(
        self,
        store: Store,
        process: str | None = None,
        clients: Callable[[], Iterable[str]] = tuple,
        *,
        beat_s: float = BEAT_S,
        alive_s: int = ALIVE_S,
    ) -> None:
        self._beat_s = beat_s
        self._alive_s = alive_s
        self._store = store
        self._process = process or ""
        self._clients = clients
        self._changes: Counter[str] = Counter()
        self._whole = True  # whether all is to be written anew
        self._said = False  # whether it has been
        self._speaking = asyncio.get_running_loop().create_task(self._speak()) if process is not None else None

    def enter(self, client: str) -> None:
        """Note that `client` is connected here (once more). Cost: 0.2 us, and a share of a round trip later."""
        self._changes[client] += 1

    def leave(self, client: str) -> None:
        """Note that a connection of `client` is gone."""
        self._changes[client] -= 1

    async def where(self, client: str) -> list[str]:
        """Return the processes that hold `client`, in no order. Raises `BrokerError` if that cannot be asked now."""
        try:
            names = [name.decode() for name in await self._store.read("SMEMBERS", _PROCESSES)]
            found = await asyncio.gather(*(self._store.read("HGET", _key(name), client) for name in names))
        except (RedisError, OSError) as error:
            raise BrokerError(f"cannot ask for the nodes of a client: {error}") from error
        return [name for name, count in zip(names, found, strict=True) if count is not None]

    async def counts(self) -> dict[str, int]:
        """Return how many clients each living process holds. Raises as `where`."""
        try:
            names = [name.decode() for name in await self._store.read("SMEMBERS", _PROCESSES)]
            found = await asyncio.gather(*(self._store.read("HLEN", _key(name)) for name in names))
        except (RedisError, OSError) as error:
            raise BrokerError(f"cannot ask for the nodes: {error}") from error
        return {name: int(count) - 1 for name, count in zip(names, found, strict=True) if count}

    async def close(self) -> None:
        """Take the word of this process back, if the broker can hear it now."""
        speaking, self._speaking = self._speaking, None
        if speaking is None:
            return
        speaking.cancel()
        await asyncio.gather(speaking, return_exceptions=True)
        with contextlib.suppress(RedisError, OSError, TimeoutError):  # then it expires
            async with asyncio.timeout(_CLOSE_S):
                await self._forget(self._process)

    async def _speak(self) -> None:
        while self._speaking is not None:  # asked, because redis-py may make a failed connect of a cancellation
            try:
                await self._beat()
            except (RedisError, OSError) as error:
                self._whole = True
                log.info("the registry of sockets is not up to date: %s", error)
            if self._speaking is not None:
                await asyncio.sleep(self._beat_s)

    async def _beat(self) -> None:
        """Say what has changed, or everything; and forget processes that are gone."""
        if self._whole:
            await self._forget(self._process)
            self._changes = Counter(self._clients())  # and what comes or goes from here on
            self._whole = False
        changes, self._changes = self._changes, Counter()
        known, first = True, True
        for batch in _batches(changes):
            answer = await self._store.write(
                "EVAL", _SPEAK, 2, _key(self._process), _PROCESSES, self._alive_s, self._process, *batch
            )
            known, first = known and (bool(answer) or not first), False
        if not known and self._said:
            self._whole = True
            return
        self._said = True
        for name in await self._store.read("SMEMBERS", _PROCESSES):
            if not await self._store.read("EXISTS", _key(name.decode())):
                await self._store.write("SREM", _PROCESSES, name)

    async def _forget(self, process: str) -> None:
        self._said = False
        await self._store.write("DEL", _key(process))
        await self._store.write("SREM", _PROCESSES, process)


def _batches(changes: Counter[str]) -> Iterator[list[str | int]]:
    """Yield the words of changes, at least one batch of none."""
    words = [word for pair in changes.items() if pair[1] for word in pair]
    yield from (words[at : at + 2 * _BATCH] for at in range(0, max(1, len(words)), 2 * _BATCH))


def _key(process: str) -> str:
    return f"{_PROCESSES}:{process}"


def open_registry(broker: Broker, node: str, clients: Callable[[], Iterable[str]]) -> Registry | None:
    """Return the registry of this process of `node`, None for a broker without a store."""
    if not isinstance(broker, RedisBroker):
        return None
    return Registry(broker.servers, f"{node}@{os.getpid()}-{os.urandom(3).hex()}", clients)
