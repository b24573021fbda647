"""The master's gate: what workers say is read here first, with suspicion.

    ZeroMQ --bytes--> [gate] --> Locust's own handlers, the bridge's
                         \\--> refused: counted and named; the sender hears why, the run goes on

Laws: a worker speaks only under the name its connection has, so two cannot share one. Bytes that are no message, one
that is enormous, one that Locust's handlers cannot take: none of them ends the greenlet that listens to all workers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from locust.exception import RPCError
from locust.rpc import Message
from locust.runners import MasterRunner
from zmq import ZMQError

logger = logging.getLogger(__name__)

MOST_BYTES = 64 << 20
"""A message larger than this is not even unpacked: that would keep the master from everybody else for seconds."""


class Gate:
    """Stand before a master's handlers.

    Args:
        refuse: told the name of the connection and why its message was refused.
    """

    def __init__(self, runner: MasterRunner, refuse: Callable[[str, str], None]) -> None:
        locust: Any = runner
        self._runner = locust
        self._refuse = refuse
        self._handle, self._reset = locust.handle_message, locust.reset_connection
        self._runner.handle_message, self._runner.reset_connection = self.handle, self._open_anew
        self._runner.server.recv_from_client = self.receive

    def _open_anew(self) -> None:
        self._reset()
        self._runner.server.recv_from_client = self.receive

    def receive(self) -> tuple[str, Message]:
        """Return the next message that is one, and the name of the connection it came by.

        Raises:
            RPCError: the network is broken; Locust opens it anew.
        """
        while True:
            try:
                parts = self._runner.server.socket.recv_multipart()
            except ZMQError as error:
                raise RPCError("ZMQ network broken") from error
            node = parts[0].decode(errors="replace")
            message = self._read(node, parts[1:])
            if message is not None:
                return node, message

    def _read(self, node: str, parts: list[bytes]) -> Message | None:
        size = sum(map(len, parts))
        if size > MOST_BYTES:
            self._refuse(node, f"its message of {size:,} bytes is enormous; at most {MOST_BYTES:,} are read")
            return None
        try:
            message: Message = Message.unserialize(b"".join(parts))  # type: ignore[no-untyped-call]  # Locust's
        except Exception as error:  # noqa: BLE001 - any bytes may come, and msgpack has a dozen errors for them
            self._refuse(node, f"its {size:,} bytes are no message: {type(error).__name__}")
            return None
        if message.node_id != node:
            self._refuse(node, f"it speaks under the name of {str(message.node_id)[:100]!r}, which is not its own")
            return None
        if not isinstance(message.type, str):
            self._refuse(node, "its message has no type")
            return None
        return message

    def handle(self, node: str, message: Message) -> None:
        """Hand a message to its handler; one that the handler cannot take is refused."""
        try:
            self._handle(node, message)
        except Exception as error:  # the handlers are Locust's, and believe every word
            logger.exception("message %r of worker %s", message.type, node)
            self._refuse(node, f"its message {message.type[:40]!r} cannot be handled: {type(error).__name__}: {error}")
