"""Run a shell command, such as the one that deploys or restarts a target of one's own."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from loadtest.faults.fault import Fault, FaultContext, FaultFailedError
from loadtest.profile import faults as profile

KEPT_LINES = 10
KEPT_BYTES = 16 * 1024
TERM_GRACE_S = 1.0
GUARD = f'read -r over || {{ kill -TERM "-$0"; sleep {TERM_GRACE_S:g}; kill -KILL "-$0"; }}'
"""What a shell does that was given a process group: it ends it, unless it is told that all is over."""


@dataclass(frozen=True)
class CommandFault(Fault):
    """Command for /bin/sh: done when it exits with 0, failed with its last output lines otherwise.

    The run's variables are in its environment as LOADTEST_<NAME>. When its time is up, or the run is interrupted or
    killed, its whole process group is ended, by SIGTERM first, so that a command can `trap` it and take back what it
    did; a process that it leaves in the background on purpose (a restarted server) is not ended.
    """

    settings: profile.CommandFault

    def apply(self, context: FaultContext) -> None:
        name, command, timeout_s = self.settings.name, self.settings.command, self.settings.timeout_s
        variables = {f"LOADTEST_{key.upper()}": value for key, value in context.variables.items()}
        with tempfile.TemporaryFile() as output:  # a pipe would be held open by whatever stays in the background
            process = subprocess.Popen(
                ["/bin/sh", "-c", command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | variables,
                start_new_session=True,
            )
            try:
                with guarded(process.pid):
                    status = process.wait(timeout_s)
            except subprocess.TimeoutExpired as error:
                raise FaultFailedError(
                    f"fault {name}: command not done after {timeout_s:g} s and ended: {command}"
                ) from error
            finally:  # also when the run is interrupted
                if process.poll() is None:
                    end_group(process)
            size = output.seek(0, os.SEEK_END)
            output.seek(max(0, size - KEPT_BYTES))
            lines = output.read().decode("utf-8", "replace").splitlines()[-KEPT_LINES:]
        if status != 0:
            said = "".join(f"\n    {line}" for line in lines) or " (it printed nothing)"
            raise FaultFailedError(f"fault {name}: command ended with status {status}: {command}{said}")
        context.log(f"{name}: command done" + (f": {lines[-1]}" if lines else ""))


@contextmanager
def guarded(group: int) -> Iterator[None]:
    """End a process group if this process is killed meanwhile: a shell waits for the end of a pipe that we hold."""
    theirs, ours = os.pipe()
    try:
        argv, nowhere = ["/bin/sh", "-c", GUARD, str(group)], subprocess.DEVNULL
        guard = subprocess.Popen(argv, stdin=theirs, stdout=nowhere, stderr=nowhere, start_new_session=True)
        try:
            yield
        finally:
            with suppress(BrokenPipeError):  # somebody killed the guard
                os.write(ours, b"over\n")
            guard.wait()
    finally:
        os.close(theirs)
        os.close(ours)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a command and all it started: SIGTERM to its process group, a second of grace, SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break  # the whole group is gone
        try:
            process.wait(TERM_GRACE_S)
        except subprocess.TimeoutExpired:
            continue
    process.wait()
