"""The supervisor's side of the nursery: ask it for a forked process, signal it, learn of its end.

    fork(...) --order--> nursery --started--> ForkedProcess --ended--> returncode

Law: when the nursery ends, so have all its processes (the kernel kills them): each of them is then told as ended by
SIGKILL, and the next `fork` starts a new nursery.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from reference_gateway.stack.process import Process, SpawnedProcess, log_tail, spawn

_LAST_WORDS_S: Final = 1.0  # from the end of its socket to the end of the nursery

log = logging.getLogger(__name__)


class ForkedProcess(Process):
    """A child of the nursery."""

    def __init__(self, pid: int, nursery: Nursery) -> None:
        super().__init__(pid)
        self._nursery = nursery

    def signal(self, signum: int) -> None:
        """Send `signum`; nothing happens when the process has ended."""
        if not self._ended.done():
            self._nursery.order({"kill": self.pid, "signal": int(signum)})

    def ended(self, status: int) -> None:
        """Note the end."""
        if not self._ended.done():
            self._ended.set_result(status)


class Nursery:
    """The nursery process of one stack; it is started by `start` or by the first `fork`, and again after it died.

    Args:
        modules: packages whose `__main__.main` nodes run; imported once, before any fork.
        env: the environment of the nursery itself; a node gets its own.
        log_file: what is said outside of any node.
    """

    def __init__(self, modules: Sequence[str], env: Mapping[str, str], log_file: Path) -> None:
        self._modules = modules
        self._env = env
        self._log_file = log_file
        self._process: SpawnedProcess | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._asked = 0
        self._waiting: dict[int, asyncio.Future[int]] = {}
        self._living: dict[int, ForkedProcess] = {}

    @property
    def pid(self) -> int | None:
        """Process id of the nursery, None when there is none."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process is not None else None

    async def start(self) -> None:
        """Start the process, unless it runs; it imports while others do their work.

        Raises:
            OSError: it cannot be started.
        """
        async with self._starting:
            if self._writer is not None:
                return
            ours, theirs = socket.socketpair()
            try:
                argv = [sys.executable, "-m", "reference_gateway.stack.nursery", str(theirs.fileno()), *self._modules]
                self._process = spawn(argv, self._env, self._log_file, pass_fds=[theirs.fileno()])
            except BaseException:
                ours.close()
                raise
            finally:
                theirs.close()
            reader, self._writer = await asyncio.open_connection(sock=ours)
            self._reading = asyncio.create_task(self._read(reader, self._process), name="nursery")

    async def fork(self, name: str, module: str, env: Mapping[str, str], log_file: Path) -> ForkedProcess:
        """Fork a process that runs the `main` of `module` with exactly `env`; its output goes to `log_file`.

        Raises:
            OSError: it cannot be forked, or the nursery ended.
        """
        await self.start()
        self._asked += 1
        number = self._asked
        started = self._waiting[number] = asyncio.get_running_loop().create_future()
        self.order({"fork": number, "name": name, "module": module, "env": dict(env), "log": str(log_file)})
        try:
            pid = await started
        finally:
            self._waiting.pop(number, None)
        return self._living[pid]

    def order(self, order: dict[str, Any]) -> None:
        """Send one order; without a nursery there is nobody to order about."""
        if self._writer is not None:
            self._writer.write(json.dumps(order).encode() + b"\n")

    def kill(self) -> None:
        """End the nursery, and with it all its processes, by force."""
        if self._process is not None:
            self._process.signal(signal.SIGKILL)

    async def end(self) -> None:
        """End the nursery and whatever it still has."""
        if self._process is not None:
            await self._process.end(0.0)
        if self._reading is not None:
            await self._reading

    async def _read(self, reader: asyncio.StreamReader, process: SpawnedProcess) -> None:
        try:
            while line := await reader.readline():
                self._hear(json.loads(line))
        except OSError as error:
            log.info("the nursery's socket broke: %s", error)
        finally:
            await self._over(process)

    def _hear(self, happening: dict[str, Any]) -> None:
        if "ended" in happening:
            self._living.pop(happening["ended"]).ended(happening["status"])
            return
        waiting = self._waiting.get(happening["started"])
        if "error" in happening:
            if waiting is not None and not waiting.done():
                waiting.set_exception(OSError(happening["error"]))
            return
        process = ForkedProcess(happening["pid"], self)
        self._living[process.pid] = process
        if waiting is None or waiting.done():
            process.signal(signal.SIGKILL)  # whoever wanted it has been cancelled
        else:
            waiting.set_result(process.pid)

    async def _over(self, process: SpawnedProcess) -> None:
        """Tell everyone that the nursery is gone."""
        try:
            async with asyncio.timeout(_LAST_WORDS_S):
                status = await process.wait()
        except TimeoutError:
            status = await process.end(0.0)
        if self._writer is not None:
            self._writer.close()
        self._writer = None
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(OSError(f"the nursery ended with status {status}\n{log_tail(self._log_file, 8)}"))
        for forked in self._living.values():
            forked.ended(-signal.SIGKILL)
        self._living.clear()
