"""One child process: bound to the life of its parent from its first instruction, watched through a pidfd.

    spawn -> fork - PR_SET_PDEATHSIG(SIGKILL) - parent still there? - exec

Law: no child outlives this process, however it ends (Source: prctl(2), PR_SET_PDEATHSIG). The signal follows the
*thread* that forked, so children are spawned from the main thread, where the event loop runs. Each child has a process
group of its own: Ctrl-C reaches the supervisor alone, which then ends the children in order.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
# Bound before any fork: between fork and exec nothing may be imported or looked up.
_PRCTL = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None


def die_with_parent(signum: int = signal.SIGTERM) -> None:
    """Have the kernel send `signum` to this process when its parent ends; at once if it has ended already."""
    parent = os.getppid()
    _bind(parent, signum)


def _bind(parent_pid: int, signum: int) -> None:
    if _PRCTL is not None:
        _PRCTL(_PR_SET_PDEATHSIG, int(signum), 0, 0, 0)
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), signum)


class Process:
    """A running child; `returncode` is None while it lives (negative = the signal that ended it)."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen
        self._pidfd = os.pidfd_open(popen.pid)
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.pid = popen.pid
        self.started_s = time.monotonic()
        asyncio.get_running_loop().add_reader(self._pidfd, self._on_exit)

    def _on_exit(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._ended.set_result(self._popen.wait())

    @property
    def returncode(self) -> int | None:
        """Exit status, None while it runs."""
        return self._ended.result() if self._ended.done() else None

    async def wait(self) -> int:
        """Wait for the end and return the exit status."""
        return await asyncio.shield(self._ended)

    def signal(self, signum: int) -> None:
        """Send `signum`; nothing happens when the process has ended."""
        if not self._ended.done():
            self._popen.send_signal(signum)

    async def end(self, grace_s: float) -> int:
        """SIGTERM, then SIGKILL when it still runs after `grace_s`; return the exit status."""
        self.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace_s):
                return await self.wait()
        except TimeoutError:
            self.signal(signal.SIGKILL)
            return await self.wait()


def spawn(argv: Sequence[str], env: Mapping[str, str], log_file: Path) -> Process:
    """Start `argv` with exactly `env`; its output is appended to `log_file` (0600).

    Raises:
        OSError: the program cannot be started.
    """
    parent_pid = os.getpid()
    log = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        popen = subprocess.Popen(
            argv,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            process_group=0,
            preexec_fn=lambda: _bind(parent_pid, signal.SIGKILL),  # noqa: PLW1509  single-threaded, see the law above
        )
    finally:
        os.close(log)
    return Process(popen)
