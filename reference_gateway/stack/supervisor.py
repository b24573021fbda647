"""Keep parts alive: start them, notice when one ends unasked, start it again with backoff, end them all.

    start(part) -> spawn -> probe until healthy -> keep: wait for the end -> backoff -> spawn -> ...
    stop(part)  -> no longer kept -> SIGTERM -> (grace) -> SIGKILL
    replace(part) -> spawn beside -> probe until healthy -> SIGTERM to the old one
    kill(part) -> SIGKILL -> restarted like any part that ends unasked, or away until `start` or `bring_back`

Law: a part that is being stopped or replaced is never restarted behind the back of who stops it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Awaitable, Iterable, Sequence
from functools import partial
from typing import Final

from reference_gateway.errors import PartFailedError
from reference_gateway.health import Health, probe_process
from reference_gateway.stack.forking import Nursery
from reference_gateway.stack.part import Part, Probe, State
from reference_gateway.stack.process import Process

FIRST_BACKOFF_S: Final = 0.1
LAST_BACKOFF_S: Final = 5.0
STEADY_S: Final = 30.0
#: A part that listens but is too busy to answer has this long to become healthy.
BUSY_START_S: Final = 120.0
_FIRST_PAUSE_S: Final = 0.02
_LAST_PAUSE_S: Final = 0.25
_PROBE_TIMEOUT_S: Final = 10.0

log = logging.getLogger(__name__)


class Supervisor:
    """Owns the processes of all parts it was asked to start.

    Args:
        start_timeout_s: how long a part may take to become healthy.
        nursery: forks the parts that name a `module`.
    """

    def __init__(self, start_timeout_s: float, nursery: Nursery) -> None:
        self._start_timeout_s = start_timeout_s
        self._nursery = nursery
        self._keepers: dict[str, asyncio.Task[None]] = {}

    async def start(self, part: Part) -> None:
        """Start `part` and return when it is healthy; from then on it is kept alive.

        Raises:
            PartFailedError: it ended, or did not become healthy in time (it is killed then).
        """
        await self._bring_up(part)
        self._keepers[part.name] = asyncio.create_task(self._keep(part), name=f"keep {part.name}")

    async def start_all(self, parts: Sequence[Part]) -> None:
        """Start parts side by side.

        Raises:
            PartFailedError: at least one did not come up; the first failure is raised, the others are cancelled.
        """
        await _all(self.start(part) for part in parts)

    async def stop(self, part: Part, grace_s: float, patient: bool = False) -> None:
        """End `part`, by force after `grace_s` (if `patient`, not while it is working), and stop keeping it."""
        keeper = self._keepers.pop(part.name, None)
        if keeper is not None:
            keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeper
        if part.process is not None:
            part.state = State.DRAINING
            await part.process.end(grace_s, patient)
        part.state = State.STOPPED

    async def replace(self, part: Part, grace_s: float) -> None:
        """Start a new process of `part` beside the running one, and end the old one once the new one is healthy.

        Both listen on the same port meanwhile (SO_REUSEPORT); the old one is given `grace_s`, longer while it works.

        Raises:
            PartFailedError: the new one did not come up; the old one goes on.
        """
        old, keeper = part.process, self._keepers.pop(part.name, None)
        if old is None or old.returncode is not None or keeper is None:
            raise PartFailedError(f"{part.name} is not running: there is nothing to replace")
        keeper.cancel()
        try:
            await self._bring_up(part, beside=True)
        except PartFailedError:
            part.process, part.state = old, State.HEALTHY
            raise
        finally:
            self._keepers[part.name] = asyncio.create_task(self._keep(part), name=f"keep {part.name}")
        await old.end(grace_s, patient=True)

    async def swap_all(self, parts: Sequence[Part], grace_s: float) -> None:
        """Start a new process of every part beside the running one; end the old ones once all new ones are healthy.

        Raises:
            PartFailedError: a new one did not come up; all the new ones are ended again, and the old ones go on.
        """
        olds = {part.name: part.process for part in parts}
        keepers = [self._keepers.pop(part.name, None) for part in parts]
        for keeper in keepers:
            if keeper is not None:
                keeper.cancel()
        leaving = [old for old in olds.values() if old is not None]
        try:
            await _all(self._bring_up(part, beside=True) for part in parts)
        except PartFailedError:
            failed = [part.process for part in parts if part.process is not None and part.process not in leaving]
            await asyncio.gather(*(process.end(0.0) for process in failed))
            for part in parts:
                part.process, part.state = olds[part.name], State.HEALTHY
            raise
        finally:
            for part in parts:
                self._keepers[part.name] = asyncio.create_task(self._keep(part), name=f"keep {part.name}")
        await asyncio.gather(*(old.end(grace_s, patient=True) for old in leaving))

    async def kill(self, part: Part, *, stay_away: bool = False) -> None:
        """End `part` by SIGKILL, as a crash would; it is started again as after a crash, or not before `bring_back`.

        Raises:
            PartFailedError: it is not running.
        """
        process = part.process
        if process is None or process.returncode is not None:
            raise PartFailedError(f"{part.name} is not running")
        process.signal(signal.SIGKILL)
        if stay_away:
            await self.stop(part, 0.0)
        else:
            await process.wait()

    def bring_back(self, part: Part) -> None:
        """Keep a part alive again that was killed to stay away: it is started as after a crash, until it comes up."""
        if part.name not in self._keepers:
            self._keepers[part.name] = asyncio.create_task(self._keep(part), name=f"keep {part.name}")

    async def replace_all(self, parts: Sequence[Part], grace_s: float) -> None:
        """Replace parts side by side.

        Raises:
            PartFailedError: as `start_all`.
        """
        await _all(self.replace(part, grace_s) for part in parts)

    async def restart_all(self, parts: Sequence[Part], grace_s: float) -> None:
        """End parts side by side, patiently, and start each anew as soon as it has ended.

        Raises:
            PartFailedError: as `start_all`.
        """

        async def restart(part: Part) -> None:
            await self.stop(part, grace_s, patient=True)
            await self.start(part)

        await _all(restart(part) for part in parts)

    async def stop_all(self, parts: Sequence[Part], grace_s: float, patient: bool = False) -> None:
        """End parts side by side; `grace_s` and `patient` as in `stop`."""
        await asyncio.gather(*(self.stop(part, grace_s, patient) for part in parts))

    async def _bring_up(self, part: Part, *, beside: bool = False) -> None:
        """Start a process of `part` and wait until it is healthy; `beside` = another one listens there as well."""
        part.state = State.STARTING
        try:
            process: Process
            if part.module:
                process = await self._nursery.fork(part.name, part.module, part.env, part.log_file)
            else:
                process = part.spawn()
        except OSError as error:
            raise PartFailedError(f"{part.name} cannot be started: {error}") from None
        part.process = process
        try:
            probe = partial(probe_process, process.pid) if beside else part.probe
            await self._wait_healthy(part, process, probe)
        except BaseException:
            await process.end(0.0)
            part.state = State.STOPPED
            raise
        part.state = State.HEALTHY

    async def _wait_healthy(self, part: Part, process: Process, probe: Probe) -> None:
        begun_s = time.monotonic()
        pause_s = _FIRST_PAUSE_S
        while True:
            health = await probe(part.host, part.port, _PROBE_TIMEOUT_S)
            if process.returncode is not None:
                raise PartFailedError(f"{part.name} ended with status {process.returncode}\n{part.log_tail()}")
            if health is Health.HEALTHY:
                return
            # Clients of a storm are in front of us in its queue: it works, and is not to be killed for that.
            allowed_s = max(self._start_timeout_s, BUSY_START_S if health is Health.SILENT else 0.0)
            if time.monotonic() - begun_s > allowed_s:
                waited = f"{allowed_s:g} s"
                raise PartFailedError(f"{part.name} was not healthy within {waited} at {part.url}\n{part.log_tail()}")
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 1.5, _LAST_PAUSE_S)

    async def _keep(self, part: Part) -> None:
        backoff_s = FIRST_BACKOFF_S
        while True:
            process = part.process
            assert process is not None
            status: int | None = await process.wait()
            if time.monotonic() - process.started_s > STEADY_S:
                backoff_s = FIRST_BACKOFF_S
            while True:
                part.state = State.BACKOFF
                log.warning("%s ended with status %s: starting it again in %.1f s", part.name, status, backoff_s)
                await asyncio.sleep(backoff_s)
                backoff_s = min(backoff_s * 2, LAST_BACKOFF_S)
                part.restarts += 1
                try:
                    await self._bring_up(part)
                except PartFailedError as error:
                    log.warning("%s", error)
                    status = part.process.returncode if part.process is not None else status
                else:
                    log.warning("%s is healthy again, process %s", part.name, part.pid)
                    break


async def _all(steps: Iterable[Awaitable[None]]) -> None:
    """Take steps side by side; the first that fails is raised, the others are cancelled."""

    async def take(step: Awaitable[None]) -> None:
        await step

    try:
        async with asyncio.TaskGroup() as group:
            for step in steps:
                group.create_task(take(step))
    except* PartFailedError as failures:
        raise failures.exceptions[0] from None
