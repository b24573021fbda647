"""What every broker promises, in prose and as a Protocol; `tests/reference/test_broker.py` proves it for each.

1. At most once. A message is delivered to a subscriber once or not at all; nothing is stored, nothing is repeated.
2. Ordered per publisher and channel: what one broker object published to one channel arrives in that order.
3. `subscribe` returns when the subscription holds: a message published after that, by anyone, arrives
   (unless the connection breaks). One callback per channel and broker object: fan-out inside a process is the hub's.
4. `unsubscribe` takes effect at once: after it returns the callback is never called again.
5. Callbacks run on the event loop, must not block, and one that raises is logged and counted, never fatal.
6. A lost connection is mended by the broker itself: it reconnects, subscribes again to everything, and only then
   reports `healthy`. Messages published meanwhile are lost to it (law 1). `subscribe` waits for the connection,
   for ever: the caller sets the timeout, and a cancelled `subscribe` leaves no subscription behind.
   `publish` does not wait: without a connection it raises `BrokerError`.
7. `close` ends everything, can be called twice, and fails what still waits with `BrokerError`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

#: Called with (channel, data) for every message of a subscribed channel.
Callback = Callable[[str, bytes], None]


class BrokerError(Exception):
    """The broker cannot do it now (no connection, closed) or ever (bad use); the message says which."""


class Broker(Protocol):
    """A publish/subscribe broker; see the seven laws in this module's docstring."""

    @property
    def healthy(self) -> bool:
        """Whether it is connected, answering, and every subscription holds."""
        ...

    async def publish(self, channel: str, data: bytes) -> None:
        """Send `data` to whoever is subscribed to `channel` now. Raises `BrokerError` if it surely cannot."""
        ...

    async def subscribe(self, channel: str, callback: Callback) -> None:
        """Call `callback` for every message of `channel` from now on. Raises `BrokerError` if already subscribed."""
        ...

    def unsubscribe(self, channel: str) -> None:
        """Stop at once; an unknown channel is fine."""
        ...

    async def close(self) -> None:
        """End it, for good."""
        ...
