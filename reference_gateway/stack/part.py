"""One part of the stack: what it is, how it is started and what is known about it now.

stopped -> starting -> healthy -> draining -> stopped
              ^           |
              +- backoff <+   ended although wanted
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from reference_gateway.health import Health
from reference_gateway.settings import LISTEN_FD
from reference_gateway.stack.process import Process, log_tail, spawn

_BACKLOG: Final = 4096

Probe = Callable[[str, int, float], Awaitable[Health]]


class State(StrEnum):
    """Where a part is in its life; the drawing above has the steps."""

    STOPPED = "stopped"
    STARTING = "starting"
    HEALTHY = "healthy"
    DRAINING = "draining"
    BACKOFF = "backoff"


@dataclass(slots=True)
class Part:
    """A part: the first block is fixed by the composition, the second is kept by the supervisor.

    Attributes:
        name: unique in the stack, e.g. "gateway-1".
        kind: "gateway" (a node of any version), "godserver", "api", "service", "front" or "broker".
        argv, env: the program and its whole environment.
        again: what to execute in place of `argv` when it is started again after ending unasked; empty = the same.
        module: the package whose `main` the nursery forks a process for, in place of executing `argv`; "" = none.
        host, port: where it listens; `probe` is asked there.
        url: what a person or a client uses; never holds a secret.
        version: the gateway version of a node, empty otherwise.
        death_signal: what it gets when the supervisor is gone; one that it handles if it has children.
        handed: whether its listening socket is held here and handed to each of its processes, so that one can take
            over from another with nobody noticing; it reads the descriptor from RG_LISTEN_FD.
        restarts: how often it was started again after ending unasked.
    """

    name: str
    kind: str
    argv: Sequence[str]
    env: Mapping[str, str]
    host: str
    port: int
    url: str
    probe: Probe
    log_file: Path
    version: str = ""
    module: str = ""
    again: Sequence[str] = ()
    handed: bool = False
    death_signal: int = signal.SIGKILL

    listener: socket.socket | None = None
    process: Process | None = None
    state: State = State.STOPPED
    restarts: int = 0

    @property
    def pid(self) -> int | None:
        """Process id of the running process, None when there is none."""
        running = self.process is not None and self.process.returncode is None
        return self.process.pid if running and self.process is not None else None

    def describe(self) -> dict[str, Any]:
        """Return the part as the ready file and the status show it."""
        described: dict[str, Any] = {"name": self.name, "kind": self.kind, "pid": self.pid, "url": self.url}
        if self.version:
            described["version"] = self.version
        return described

    def spawn(self) -> Process:
        """Start a process of its own.

        Raises:
            OSError: it cannot be started, or its port is taken.
        """
        argv = self.again if self.restarts and self.again else self.argv
        if not self.handed:
            return spawn(argv, self.env, self.log_file, death_signal=self.death_signal)
        if self.listener is None:
            self.listener = socket.create_server((self.host, self.port), backlog=_BACKLOG)
        handle = self.listener.fileno()
        return spawn(argv, {**self.env, LISTEN_FD: str(handle)}, self.log_file, pass_fds=[handle])

    def release(self) -> None:
        """Give up the listening socket."""
        if self.listener is not None:
            self.listener.close()
            self.listener = None

    def log_tail(self, lines: int = 8) -> str:
        """Return the last lines of the part's log, for an error message."""
        return log_tail(self.log_file, lines)
