"""The process that has imported everything a gateway node needs, and forks the nodes, which then share that memory.

    supervisor --{"fork": 7, "name", "module", "env", "log"}--> nursery --fork--> node: module.main()
               --{"kill": 4711, "signal": 15}-->                   |
               <--{"started": 7, "pid": 4711}----------------------+
               <--{"ended": 4711, "status": -9}--------------------+      one JSON object per line, on one socket

Laws: no thread and no event loop exists at a fork. A node dies with the nursery, the nursery with the supervisor
(PR_SET_PDEATHSIG; and when the socket ends, the nursery does). Only the nursery signals nodes, because only who has
not collected a process yet knows that its pid is still its own. The nursery decides nothing: whether a node is started
again is the supervisor's affair.

A node executed by itself has 30 MB of private memory and takes 0.43 s of CPU to start; a forked one 9 MB and 0.02 s.
Run as `python -m reference_gateway.stack.nursery FD MODULE...`; it is no interface for people.
"""

from __future__ import annotations

import encodings.idna  # noqa: F401  what connecting by name imports later: here it is shared
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from reference_gateway.stack.process import bind_to_parent, name_process, open_log

_CHUNK_BYTES = 256 * 1024

_CROWDED_NICE = 5
"""Where nodes share cores, whoever measures them on the same machine goes first: three times their weight."""


class Nursery:
    """The nodes forked so far, and the socket to the supervisor.

    Args:
        link: the nursery's end; closed in every node.
        mains: by module, what a node of it runs; the return value is its exit status.
    """

    def __init__(self, link: socket.socket, mains: Mapping[str, Callable[[], int]]) -> None:
        self._link = link
        self._mains = mains
        self._living: set[int] = set()
        self._received = b""

    def serve(self) -> None:
        """Fork, signal and collect until the supervisor's end of the socket is closed."""
        woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        poll = select.poll()
        poll.register(woken, select.POLLIN)
        poll.register(self._link, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poll.poll()}
            if woken in ready:
                os.read(woken, _CHUNK_BYTES)
                self._collect()
            if self._link.fileno() in ready:
                data = self._link.recv(_CHUNK_BYTES)
                if not data:
                    return
                *lines, self._received = (self._received + data).split(b"\n")
                for line in lines:
                    self._obey(json.loads(line))

    def _obey(self, order: dict[str, Any]) -> None:
        if "kill" in order:
            if order["kill"] in self._living:
                os.kill(order["kill"], order["signal"])
            return
        nursery_pid = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            self._say(started=order["fork"], error=error.strerror)
            return
        if pid == 0:
            self._become_node(nursery_pid, order)
        self._living.add(pid)
        self._say(started=order["fork"], pid=pid)

    def _collect(self) -> None:
        while self._living:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            self._living.discard(pid)
            self._say(ended=pid, status=os.waitstatus_to_exitcode(status))

    def _say(self, **happening: object) -> None:
        self._link.sendall(json.dumps(happening).encode() + b"\n")

    def _become_node(self, nursery_pid: int, order: dict[str, Any]) -> NoReturn:
        status = 1
        try:
            bind_to_parent(nursery_pid, signal.SIGKILL)
            os.setpgid(0, 0)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            log = open_log(Path(order["log"]))
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.closerange(3, 64)  # the socket, the wake-up pipe, the log: all that was opened before the fork
            name_process(order["name"])
            os.environ.clear()
            os.environ.update(order["env"])
            if order["env"].get("RG_CROWDED") == "1":  # more nodes than cores: fewer switches, more done at each turn
                os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
                os.nice(_CROWDED_NICE)
            gc.enable()
            status = self._mains[order["module"]]()
        except SystemExit as leaving:
            status = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
        except BaseException:  # noqa: BLE001 - the last frame of this process: it goes to the log and becomes the status
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status & 0xFF)  # never unwind into the nursery's frames; sockets are the kernel's to close


def main(argv: Sequence[str]) -> None:
    """Import the modules, freeze, serve."""
    link = socket.socket(fileno=int(argv[0]))
    mains = {name: importlib.import_module(f"{name}.__main__").main for name in argv[1:]}
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()  # a collection between freeze and fork would write to the pages meant to be shared
    gc.collect()
    gc.freeze()
    Nursery(link, mains).serve()


if __name__ == "__main__":
    main(sys.argv[1:])
