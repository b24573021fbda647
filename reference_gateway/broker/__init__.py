"""The broker between services and gateway nodes: one contract, one implementation per file.

    service --publish--> broker --callback--> hub of every node that subscribed

To add one: write a class that keeps `contract.Broker`, give it a URL scheme in `open_broker`, and add it to the
fixture of `tests/reference/test_broker.py`: the conformance suite there is the proof.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from .contract import Broker, BrokerError, Callback
from .memory import MemoryBroker
from .redis import RedisBroker

__all__ = ["Broker", "BrokerError", "Callback", "MemoryBroker", "RedisBroker", "open_broker"]


async def open_broker(url: str) -> Broker:
    """Open the broker a URL names; it connects in the background, so `healthy` may be False for a moment.

    Args:
        url: `memory:` (one process only), or what Redis clients take: `redis://host:port`, `rediss://`, `unix://`.
    Raises:
        BrokerError: the scheme is not known.
    """
    scheme = urlsplit(url).scheme
    if scheme == "memory":
        return MemoryBroker()
    if scheme in ("redis", "rediss", "unix"):
        return RedisBroker(url)
    raise BrokerError(f"no broker for scheme {scheme!r}; known are memory, redis, rediss and unix")
