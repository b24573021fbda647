"""How the run speaks to a relay: one JSON line there and one back, over a Unix socket that only its user may use.

    Remote.order({"do": "place", ...}) --line--> [abstract socket] --> Relay.obey --line--> {"ok": true, ...}

The socket has a name but no file (unix(7), "abstract"), so nothing stays behind whoever is killed; the kernel knows who
connects (SO_PEERCRED), and another user is not heard.

Law: an order is answered, or `RelayError` says why not; the relay survives whatever comes.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from typing import Any

from loadtest.errors import LoadtestError
from loadtest.relay.relay import Relay

MOST_BYTES = 65_536
PATIENCE_S = 5.0


class RelayError(LoadtestError):
    """A relay did not do what it was told."""


class Remote:
    """The run's end; `name` is the socket's."""

    def __init__(self, name: str) -> None:
        self.name = name

    def order(self, order: dict[str, Any]) -> dict[str, Any]:
        """Have the relay carry out an order; return its answer.

        Raises:
            RelayError: it is gone, silent, or refused, with its words.
        """
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
                sock.settimeout(PATIENCE_S)
                sock.connect(f"\0{self.name}")
                sock.sendall(json.dumps(order).encode() + b"\n")
                answer = json.loads(_line(sock))
        except (OSError, ValueError) as error:
            raise RelayError(f"the relay {self.name} does not answer: {error}") from error
        if not isinstance(answer, dict) or not answer.pop("ok", False):
            raise RelayError(f"the relay refused: {answer}")
        return answer


def _line(sock: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n") and len(data) < MOST_BYTES:
        more = sock.recv(4096)
        if not more:
            break
        data += more
    return data


class ControlSocket:
    """The relay's end: orders are short, so each is read whole, with a limit in time."""

    def __init__(self, name: str) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.bind(f"\0{name}")
        self.sock.listen(8)

    def serve(self, relay: Relay) -> None:
        """Take one order and answer it."""
        peer, _ = self.sock.accept()
        with peer:
            if _user(peer) != os.getuid():
                return
            peer.settimeout(1.0)
            try:
                order = json.loads(_line(peer))
                answer: dict[str, Any] = {"ok": True, **relay.obey(order)}
            except (ValueError, AttributeError, OSError) as error:
                answer = {"ok": False, "error": str(error)}
            try:
                peer.sendall(json.dumps(answer).encode() + b"\n")
            except OSError as error:
                relay.counts["unanswered"] = relay.counts.get("unanswered", 0) + 1
                del error


def _user(peer: socket.socket) -> int:
    """Return the uid of the process at the other end."""
    _pid, uid, _gid = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(uid)
