"""Run a stack in the foreground: from the check of ports to the last process's end.

    up: data folder - compose (ports checked) - start - announce - table - wait for a reason to end - end

Reasons to end: Ctrl-C, SIGTERM, SIGHUP, `reference-gateway down`, a part that does not come up; with
`--die-with-parent` the end of the parent. A second signal ends everything by force.
"""

from __future__ import annotations

import asyncio
import resource
import signal
import time
from collections.abc import Callable
from typing import Final

from reference_gateway.errors import ExitCode, PartFailedError
from reference_gateway.stack.config import StackConfig
from reference_gateway.stack.data import DataFolder
from reference_gateway.stack.stack import Stack

#: Called with the healthy stack, the seconds it took, and whether the default state file points to it.
Show = Callable[[Stack, float, bool], None]

_END_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_stack(config: StackConfig, show: Show) -> ExitCode:
    """Run the stack until something asks for its end; return the exit code.

    Raises:
        SettingError, PortInUseError: nothing was started.
        PartFailedError: a part did not come up; everything has been ended again.
    """
    raise_open_files()
    with DataFolder(config.data_dir, config.log_dir) as data:
        return asyncio.run(_run(Stack(config, data), show))


def raise_open_files() -> None:
    """Lift the soft limit of open files to the hard one; the parts inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _run(stack: Stack, show: Show) -> ExitCode:
    ended = asyncio.Event()

    def ask_for_end() -> None:
        if ended.is_set():
            stack.kill()
        ended.set()

    loop = asyncio.get_running_loop()
    for signum in _END_SIGNALS:
        loop.add_signal_handler(signum, ask_for_end)
    serving = asyncio.create_task(_serve(stack, ended, show))
    asked = asyncio.create_task(ended.wait())
    try:
        await asyncio.wait((serving, asked), return_when=asyncio.FIRST_COMPLETED)
    finally:
        serving.cancel()
        asked.cancel()
        outcome, _ = await asyncio.gather(serving, asked, return_exceptions=True)
        await stack.end()
    if isinstance(outcome, BaseException) and not isinstance(outcome, asyncio.CancelledError):
        raise outcome
    return ExitCode.OK


async def _serve(stack: Stack, ended: asyncio.Event, show: Show) -> None:
    """Start, announce and show the stack, then hold it until cancelled."""
    started_s = time.monotonic()
    starting = asyncio.create_task(stack.start())
    try:
        # Loaded while the parts load: an HTTP server costs a third of a second to import.
        await asyncio.sleep(0.05)
        from reference_gateway.stack.control import Control  # noqa: PLC0415

        await starting
    finally:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
    control = Control(stack, ended)
    try:
        try:
            await control.start()
        except OSError as error:
            raise PartFailedError(f"control cannot listen at {stack.control_url}: {error.strerror}") from None
        show(stack, time.monotonic() - started_s, stack.announce())
        await asyncio.Event().wait()
    finally:
        await control.stop()
