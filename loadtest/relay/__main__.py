"""The relay as a process: `python -m loadtest.relay --control NAME --number N LISTEN=GATEWAY ...`, each HOST:PORT.

Several relays may share a port: the kernel deals the connections (SO_REUSEPORT). It says {"ready": true} on stdout and
runs until SIGTERM, or until its parent dies.
"""

from __future__ import annotations

import argparse
import gc
import json
import signal
import socket
import sys
from types import FrameType

from loadtest.relay.control import ControlSocket
from loadtest.relay.relay import BACKLOG, Relay

TURN_S = 0.5


def main() -> None:
    """Run until told to end."""
    parser = argparse.ArgumentParser(prog="loadtest.relay")
    parser.add_argument("--control", required=True)
    parser.add_argument("--number", type=int, default=0)
    parser.add_argument("routes", nargs="+", metavar="HOST:PORT=HOST:PORT")
    arguments = parser.parse_args()
    routes = []
    for route in arguments.routes:
        listen, _, gateway = route.partition("=")
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(_address(listen))
        listener.listen(BACKLOG)
        listener.setblocking(False)
        routes.append((listener, _address(gateway)))
    relay = Relay(routes, arguments.number)
    control = ControlSocket(arguments.control)
    relay.poller.register(control.sock.fileno(), 1)
    ending = False

    def end(*_: int | FrameType | None) -> None:
        nonlocal ending
        ending = True

    signal.signal(signal.SIGTERM, end)
    gc.freeze()
    sys.stdout.write(json.dumps({"ready": True}) + "\n")
    sys.stdout.flush()
    while not ending:
        if control.sock.fileno() in relay.turn(TURN_S):
            control.serve(relay)
    relay.stop()


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


if __name__ == "__main__":
    main()
