"""One process of the stack, bound to the life of its parent from its first instruction.

    spawn -> fork - PR_SET_PDEATHSIG(SIGKILL) - parent still there? - exec          SpawnedProcess, watched by a pidfd
    nursery -> fork - PR_SET_PDEATHSIG(SIGKILL) - parent still there? - main()      ForkedProcess, see `forking.py`

Law: no child outlives this process, however it ends (Source: prctl(2), PR_SET_PDEATHSIG). The signal follows the
*thread* that forked, so children are spawned from the main thread, where the event loop runs. Each child has a process
group of its own: Ctrl-C reaches the supervisor alone, which then ends the children in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

#: A process that is asked to end may go on working beyond its grace, but no longer than this.
MAX_BUSY_END_S: Final = 120.0
_BUSY_LOOK_S: Final = 1.0

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15
# Bound before any fork: between fork and exec nothing may be imported or looked up.
_PRCTL = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None


def die_with_parent(signum: int = signal.SIGTERM) -> None:
    """Have the kernel send `signum` to this process when its parent ends; at once if it has ended already."""
    parent = os.getppid()
    bind_to_parent(parent, signum)


def bind_to_parent(parent_pid: int, signum: int) -> None:
    """Have the kernel send `signum` to this process when its parent `parent_pid` ends; at once if it has ended."""
    if _PRCTL is not None:
        _PRCTL(_PR_SET_PDEATHSIG, int(signum), 0, 0, 0)
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), signum)


def name_process(name: str) -> None:
    """Show this process as `name` (its first 15 bytes) in ps, top and /proc."""
    if _PRCTL is not None:
        _PRCTL(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)


class Process(ABC):
    """A running child; `returncode` is None while it lives (negative = the signal that ended it)."""

    def __init__(self, pid: int) -> None:
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.pid = pid
        self.started_s = time.monotonic()

    @property
    def returncode(self) -> int | None:
        """Exit status, None while it runs."""
        return self._ended.result() if self._ended.done() else None

    async def wait(self) -> int:
        """Wait for the end and return the exit status."""
        return await asyncio.shield(self._ended)

    @abstractmethod
    def signal(self, signum: int) -> None:
        """Send `signum`; nothing happens when the process has ended."""

    async def end(self, grace_s: float, patient: bool = False) -> int:
        """SIGTERM, then SIGKILL when it still runs after `grace_s`; return the exit status.

        Args:
            grace_s: seconds between the signals.
            patient: a process that is still working when its grace is over is left to work, up to `MAX_BUSY_END_S`.
        """
        self.signal(signal.SIGTERM)
        give_up_s = time.monotonic() + max(grace_s, MAX_BUSY_END_S)
        before_ns = cpu_ns(self.pid)
        while True:
            try:
                async with asyncio.timeout(grace_s):
                    return await self.wait()
            except TimeoutError:
                used_ns = cpu_ns(self.pid)
                if not patient or used_ns == before_ns or time.monotonic() > give_up_s:
                    break
                grace_s, before_ns = _BUSY_LOOK_S, used_ns
        self.signal(signal.SIGKILL)
        return await self.wait()


class SpawnedProcess(Process):
    """A child of this very process, running a program of its own."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        super().__init__(popen.pid)
        self._popen = popen
        self._pidfd = os.pidfd_open(popen.pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._on_exit)

    def _on_exit(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)  # whatever it has left behind in its group; its pid is still its own
        self._ended.set_result(self._popen.wait())

    def signal(self, signum: int) -> None:
        """Send `signum`; nothing happens when the process has ended."""
        if not self._ended.done():
            self._popen.send_signal(signum)


def cpu_ns(pid: int) -> int:
    """Return the CPU time a process has used, 0 when that is not known. Source: proc_pid_schedstat."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return 0


def spawn(
    argv: Sequence[str],
    env: Mapping[str, str],
    log_file: Path,
    pass_fds: Sequence[int] = (),
    death_signal: int = signal.SIGKILL,
) -> SpawnedProcess:
    """Start `argv` with exactly `env`; its output is appended to `log_file` (0600).

    Args:
        death_signal: what the kernel sends it when this process ends; one that it handles if it has children.

    Raises:
        OSError: the program cannot be started.
    """
    parent_pid = os.getpid()
    log = open_log(log_file)
    try:
        popen = subprocess.Popen(
            argv,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=pass_fds,
            process_group=0,
            preexec_fn=lambda: bind_to_parent(parent_pid, death_signal),  # noqa: PLW1509  single-threaded, see the law
        )
    finally:
        os.close(log)
    return SpawnedProcess(popen)


def open_log(log_file: Path) -> int:
    """Open a part's log for appending (0600) and return its descriptor.

    Raises:
        OSError: it cannot be opened.
    """
    return os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def log_tail(log_file: Path, lines: int) -> str:
    """Return the last lines of a log, empty when it cannot be read."""
    try:
        text = log_file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
