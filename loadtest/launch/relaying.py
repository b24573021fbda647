"""The relays of one run: started before anybody connects, told of faults by their control sockets, ended with the run.

    gateways --ports--> python -m loadtest.relay (one or several, sharing each port) --> gateways
    routes: "gateway host:port" -> "127.0.0.1:port" for the herds

Law: a relay is a child that dies with this process, and its clients' connections with it: nothing stays impaired.
"""

from __future__ import annotations

import secrets
import socket
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loadtest.clock import NS_PER_S, now_ns
from loadtest.errors import RunInvalidError
from loadtest.herd.sockets import Target
from loadtest.launch.address import LOOPBACK
from loadtest.launch.children import POLL_S, Children, start_child
from loadtest.relay.control import RelayError, Remote

READY_S = 10.0


class Relays:
    """The relay processes of one run.

    Attributes:
        routes: which listener stands for which gateway. remotes: how to tell each relay something.
    """

    def __init__(self, urls: Sequence[str], processes: int, log_dir: Path) -> None:
        self.routes: dict[str, str] = {}
        self.remotes: list[Remote] = []
        self._children = Children()
        self._outs: list[Path] = []
        self._holders: list[socket.socket] = []
        words = []
        for url in dict.fromkeys(urls):
            host, port = Target.of(url).address
            listener = self._hold_port()
            self.routes[f"{host}:{port}"] = listener
            words.append(f"{listener}={host}:{port}")
        for number in range(processes):
            control = f"loadtest-relay-{number + 1}-{secrets.token_hex(8)}"
            self._outs.append(log_dir / f"relay-{number + 1}.out")
            argv = [sys.executable, "-m", "loadtest.relay", "--control", control, "--number", str(number), *words]
            name = f"relay-{number + 1}"
            child = start_child(name, argv, log_path=log_dir / f"{name}.log", out_path=self._outs[-1])
            self._children.add(child)
            self.remotes.append(Remote(control))

    def _hold_port(self) -> str:
        """Take a free port that all relays can share; return the address."""
        holder = socket.socket()
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind((LOOPBACK, 0))
        self._holders.append(holder)
        return f"{LOOPBACK}:{holder.getsockname()[1]}"

    def wait_ready(self) -> None:
        """Wait until all of them listen.

        Raises:
            RunInvalidError: one does not, with its last words.
        """
        deadline_ns = now_ns() + round(READY_S * NS_PER_S)
        while not all(out.read_bytes().endswith(b"\n") for out in self._outs):
            death = self.death()
            if death is not None or now_ns() > deadline_ns:
                raise RunInvalidError(f"the relay does not come up: {death or f'not within {READY_S:g} s'}")
            time.sleep(POLL_S)
        for holder in self._holders:
            holder.close()

    def death(self) -> str | None:
        """Say how a relay ended, or None while all run."""
        ends = [end for child in self._children if (end := child.exit()) is not None]
        return str(ends[0]) if ends else None

    def figures(self) -> dict[str, Any]:
        """Return what went through, for run.json: counts of all relays together; `silent`: how many did not answer."""
        counts: Counter[str] = Counter()
        for remote in self.remotes:
            try:
                counts.update(remote.order({"do": "count"}))
            except RelayError:
                counts["silent"] += 1
        return {"processes": len(self.remotes), **counts}

    def stop(self) -> None:
        """End them."""
        for holder in self._holders:
            holder.close()
        self._children.stop(2.0)
