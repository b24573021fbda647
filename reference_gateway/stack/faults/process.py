"""Faults of a process, by signals: killed, frozen, throttled.

    kill    SIGKILL                                                         started again by itself, as after a crash
    down    SIGKILL ............................ started again      away meanwhile; then as after a crash
    freeze  SIGSTOP ............................ SIGCONT         its sockets stay open, and nobody answers on them
    slow    SIGCONT - share of a period - SIGSTOP - rest - ...   what a CPU quota does, without a cgroup

Law: signals reach processes that are ours and have not been collected, never a pid that may be somebody else's; a
stopped process is killed by the kernel all the same when this one ends (see `stack.process`).
"""

from __future__ import annotations

import asyncio
import logging
import signal
from pathlib import Path
from typing import Final

from reference_gateway.errors import FaultError, PartFailedError
from reference_gateway.stack.part import Part, State
from reference_gateway.stack.process import Process
from reference_gateway.stack.supervisor import Supervisor

PERIOD_S: Final = 0.1
BACK_S: Final = 10.0
_SETTLE_S: Final = 2.0
_LOOK_S: Final = 0.01

log = logging.getLogger(__name__)


class Kill:
    """End the part by SIGKILL; it comes back by itself, or with `stay_away` when this is taken back."""

    def __init__(self, supervisor: Supervisor, part: Part, *, stay_away: bool) -> None:
        self._supervisor = supervisor
        self._part = part
        self._stay_away = stay_away
        self._away = False

    async def apply(self) -> None:
        """See `Fault.apply`."""
        try:
            await self._supervisor.kill(self._part, stay_away=self._stay_away)
        except PartFailedError as error:
            raise FaultError(str(error)) from None
        self._away = self._stay_away

    async def undo(self) -> None:
        """See `Fault.undo`."""
        if not self._away:
            return
        self._away = False
        if self._part.pid is not None:
            return  # a deploy has started it meanwhile
        self._supervisor.bring_back(self._part)
        try:
            async with asyncio.timeout(BACK_S):
                while self._part.state is not State.HEALTHY:
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:  # what it needs is away itself: it is tried again and again
            log.warning("%s is not healthy yet: it is started again as after a crash", self._part.name)


class Freeze:
    """Stop the part's process where it stands."""

    def __init__(self, part: Part) -> None:
        self._part = part
        self._frozen: Process | None = None

    async def apply(self) -> None:
        """See `Fault.apply`."""
        self._frozen = process = running(self._part)
        process.signal(signal.SIGSTOP)
        try:
            async with asyncio.timeout(_SETTLE_S):
                while not is_stopped(process.pid):
                    if process.returncode is not None:
                        raise FaultError(f"{self._part.name} ended before it was frozen")
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            process.signal(signal.SIGCONT)
            raise FaultError(f"{self._part.name} runs on after SIGSTOP") from None

    async def undo(self) -> None:
        """See `Fault.undo`."""
        if self._frozen is not None:
            self._frozen.signal(signal.SIGCONT)
        self._frozen = None


class Slow:
    """Let the part run for a share of each period only, whichever process it has then.

    Args:
        share: of the time, 0 < share < 1.
    """

    def __init__(self, part: Part, share: float) -> None:
        self._part = part
        self._share = share
        self._throttling: asyncio.Task[None] | None = None

    async def apply(self) -> None:
        """See `Fault.apply`."""
        running(self._part)
        self._throttling = asyncio.create_task(self._throttle(), name=f"slow {self._part.name}")

    async def undo(self) -> None:
        """See `Fault.undo`."""
        if self._throttling is not None:
            self._throttling.cancel()
            await asyncio.gather(self._throttling, return_exceptions=True)
        self._throttling = None

    async def _throttle(self) -> None:
        while True:
            process = self._part.process
            if process is not None:
                try:
                    process.signal(signal.SIGSTOP)
                    await asyncio.sleep(PERIOD_S * (1.0 - self._share))
                finally:
                    process.signal(signal.SIGCONT)
            await asyncio.sleep(PERIOD_S * self._share)


def running(part: Part) -> Process:
    """Return the process of `part`.

    Raises:
        FaultError: it has none now.
    """
    process = part.process
    if process is None or process.returncode is not None:
        raise FaultError(f"{part.name} is not running ({part.state})")
    return process


def is_stopped(pid: int) -> bool:
    """Return whether a process is stopped by a signal. Source: proc_pid_stat(5), the field after the name."""
    try:
        return (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0] == "T"
        )
    except (OSError, IndexError):
        return False
