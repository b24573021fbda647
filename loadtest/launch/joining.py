"""`loadtest worker`: workers on this machine for a run that another machine conducts.

    loadtest worker --start_child--> nursery --fork--> worker ... worker --ZeroMQ--> loadtest run --bind HOST:PORT

Laws: everything started here ends with this process, however it ends. The logs are kept in a private folder that is
removed at the end, unless a place was named; what a worker said last is passed on when it ends badly.
"""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from loadtest.errors import ExitCode, UsageError
from loadtest.launch.address import Address
from loadtest.launch.children import Children, Exit
from loadtest.launch.crew import Crew
from loadtest.launch.machine import raise_open_files

ENTRY = "loadtest.users.worker:run_remote_worker"
POLL_S = 0.1


@dataclass(frozen=True)
class Joining:
    """What to start. `processes` None: one per core for herds, one for publishers. `log_dir` None: a private one."""

    master: Address
    role: str = "herd"
    processes: int | None = None
    log_dir: Path | None = None

    @property
    def count(self) -> int:
        """Return the number of worker processes."""
        if self.processes is not None:
            return self.processes
        return 1 if self.role == "publisher" else len(os.sched_getaffinity(0))


def join(joining: Joining, say: Callable[[str], None], *, entry: str = ENTRY) -> ExitCode:
    """Start the workers and stay until all of them have ended.

    Returns:
        PASS when the run ended them; USAGE when the master refused one; UNREACHABLE when it never answered or fell
        silent; INVALID when one crashed or was killed; INTERRUPTED when somebody ended this process.

    Raises:
        UsageError: the master's host cannot be looked up. RunInvalidError: the workers could not be started.
    """
    host = _numeric(joining.master)
    raise_open_files()
    count = joining.count
    publishes = joining.role == "publisher"
    with ExitStack() as undo:
        undo.callback(signal.signal, signal.SIGTERM, signal.signal(signal.SIGTERM, _interrupt))
        log_dir = joining.log_dir or Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="loadtest-worker-")))
        children = Children()
        undo.callback(children.stop, 7.0)
        try:
            crew = Crew.start(
                master_host=host,
                master_port=joining.master.port,
                profile_path=Path(),
                run_id="",
                workers=0 if publishes else count,
                publishers=count if publishes else 0,
                log_dir=log_dir,
                entry=entry,
            )
            children.add(crew.child)
            ends = crew.wait_ready()
            say(f"{count} {joining.role} worker{'s' * (count > 1)} for the run at {joining.master}; Ctrl-C ends them")
            while crew.child.poll() is None:
                ends += crew.deaths()
                time.sleep(POLL_S)
            ends += crew.deaths()
        except KeyboardInterrupt:
            return ExitCode.INTERRUPTED
        return judge(ends, say)


def judge(ends: Sequence[Exit], say: Callable[[str], None]) -> ExitCode:
    """Say why workers ended that were not ended by the run, each reason once; return the exit code for all."""
    bad = [end for end in ends if end.status != ExitCode.PASS]
    reasons: dict[str, list[str]] = {}
    for end in bad:
        reasons.setdefault(_reason(end), []).append(end.name)
    for reason, names in reasons.items():
        say(f"{', '.join(sorted(names))}: {reason}")
    statuses = {end.status for end in bad}
    for code in (ExitCode.USAGE, ExitCode.UNREACHABLE):
        if code in statuses:
            return code
    return ExitCode.INVALID if bad else ExitCode.PASS


def _reason(end: Exit) -> str:
    """Return what a worker said last, without the time it said it, or how it ended if that says more."""
    if end.status in (ExitCode.USAGE, ExitCode.UNREACHABLE) and end.tail:
        errors = [line for line in end.tail if " ERROR " in line] or end.tail
        return errors[-1].rpartition(" ERROR ")[2].partition(": ")[2] or errors[-1]
    return str(end).partition(" ended with ")[2]


def _numeric(master: Address) -> str:
    """Look the master's host up once, here, where it can be said what is wrong with it."""
    try:
        return str(socket.getaddrinfo(master.host, master.port, type=socket.SOCK_STREAM)[0][4][0])
    except (OSError, UnicodeError) as error:
        raise UsageError(f"--master: the host {master.host} cannot be looked up ({error})") from error


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
