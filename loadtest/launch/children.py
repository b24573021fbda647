"""Child processes with a name, a log file of their own and a certain end.

Law: whatever is started here ends by its pid: when asked (`Children.stop`), or when this process dies in any way
(see `lifeline`). A child that ends unasked is reported once, with its last words.

    start_child --fork--> tie_to_parent --exec--> argv            stdout, stderr -> its own files
    Children.lost() -> [Exit]          Children.stop() : SIGTERM to all, wait, SIGKILL to the rest, wait

Works the same in a plain process and in one that gevent has patched: `subprocess` is looked up at call time, and
waiting is a poll with short sleeps, which gevent turns into turns of its loop.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from loadtest.clock import NS_PER_S, now_ns
from loadtest.errors import UsageError
from loadtest.launch.lifeline import tie_to_parent

TAIL_BYTES = 16 * 1024
POLL_S = 0.01


def describe_status(status: int) -> str:
    """Say in words how a process ended; `status` is its exit code, or minus the signal's number."""
    if status >= 0:
        return f"exit code {status}"
    try:
        return f"signal {signal.Signals(-status).name}"
    except ValueError:
        return f"signal {-status}"


def last_lines(path: Path, count: int = 10) -> list[str]:
    """Return the last `count` lines of a log file (its last 16 KiB at most); [] when it cannot be read."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            text = file.read(TAIL_BYTES).decode("utf-8", "replace")
    except OSError:
        return []
    return text.splitlines()[-count:]


@dataclass(frozen=True)
class Exit:
    """One child's end: `status` is the exit code, or minus the signal's number; `tail` its last log lines."""

    name: str
    pid: int
    status: int
    tail: tuple[str, ...]

    def __str__(self) -> str:
        text = f"{self.name} (pid {self.pid}) ended with {describe_status(self.status)}"
        return text + "".join(f"\n    {line}" for line in self.tail)


@dataclass
class Child:
    """One running (or ended) child process."""

    name: str
    log_path: Path
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def pid(self) -> int:
        return self.process.pid

    def poll(self) -> int | None:
        """Return None while it runs, else its status: the exit code, or minus the signal's number."""
        return self.process.poll()

    def signal(self, number: int) -> None:
        """Send a signal; a child that has ended already is left alone."""
        self.process.send_signal(number)

    def exit(self) -> Exit | None:
        """Return how it ended, or None while it runs."""
        status = self.poll()
        return None if status is None else Exit(self.name, self.pid, status, tuple(last_lines(self.log_path)))


def start_child(
    name: str,
    argv: Sequence[str],
    *,
    log_path: Path,
    out_path: Path | None = None,
    environment: Mapping[str, str] | None = None,
    death_signal: int = signal.SIGKILL,
) -> Child:
    """Start `argv` as a child that dies with this process; call it from the main thread.

    Args:
        name: what reports call it.
        argv: program and arguments, no shell.
        log_path: receives stderr, and stdout unless `out_path` is given; its folder is made.
        out_path: receives stdout alone, for a child whose stdout is read by its parent.
        environment: the whole environment; None inherits this process's.
        death_signal: what the kernel sends it when this process dies.

    The child leads a session of its own, so that Ctrl-C in the terminal reaches the parent alone, which then ends its
    children in order.

    Raises:
        UsageError: the program cannot be started, with the reason.
    """
    parent_pid = os.getpid()
    log_path.parent.mkdir(parents=True, exist_ok=True)
    files: list[IO[bytes]] = [log_path.open("ab")]
    try:
        if out_path is not None:
            files.append(out_path.open("ab"))
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=files[-1],
            stderr=files[0],
            env=None if environment is None else dict(environment),
            start_new_session=True,
            # preexec_fn is the one place to make the tie without a second interpreter; it calls one prctl
            preexec_fn=lambda: tie_to_parent(parent_pid, death_signal),  # noqa: PLW1509
        )
    except OSError as error:
        raise UsageError(f"{name} cannot be started: {argv[0]}: {error.strerror or error}") from error
    finally:
        for file in files:
            file.close()
    return Child(name, log_path, process)


class Children:
    """The children of one run, by name; ends all of them together."""

    def __init__(self) -> None:
        self._children: dict[str, Child] = {}
        self._told: set[str] = set()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._children)

    def __getitem__(self, name: str) -> Child:
        return self._children[name]

    def __iter__(self) -> Iterator[Child]:
        return iter(tuple(self._children.values()))

    def __len__(self) -> int:
        return len(self._children)

    def add(self, child: Child) -> Child:
        """Take over the life of a child; names are unique.

        Raises:
            ValueError: a child of that name is here already.
        """
        if child.name in self._children:
            raise ValueError(f"a child named {child.name!r} is already supervised")
        self._children[child.name] = child
        return child

    def alive(self) -> tuple[Child, ...]:
        """Return the children that still run."""
        return tuple(child for child in self if child.poll() is None)

    def lost(self) -> list[Exit]:
        """Return the ends not told yet of children that nobody asked to stop, whatever their status."""
        fresh = [end for child in self if child.name not in self._told and (end := child.exit()) is not None]
        self._told.update(end.name for end in fresh)
        return fresh

    def stop(self, timeout_s: float = 5.0) -> list[Exit]:
        """End every child: SIGTERM to all at once, SIGKILL to whoever still runs after `timeout_s`; return all ends.

        A child killed the hard way takes its whole process group with it, so that nothing of its own stays behind.
        Returns when no child is left; the kernel grants that to SIGKILL. Stopping twice is harmless.
        """
        # SIGCONT: a stopped (frozen) process would never see its SIGTERM
        self._signal_alive(signal.SIGTERM, signal.SIGCONT)
        self._wait(timeout_s)
        for child in self.alive():
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue  # ended since alive() looked
        self._wait(None)
        ends = [end for child in self if (end := child.exit()) is not None]
        self._told.update(end.name for end in ends)
        return ends

    def _signal_alive(self, *numbers: int) -> None:
        for child in self.alive():
            for number in numbers:
                child.signal(number)

    def _wait(self, timeout_s: float | None) -> None:
        deadline_ns = None if timeout_s is None else now_ns() + round(timeout_s * NS_PER_S)
        while self.alive() and (deadline_ns is None or now_ns() < deadline_ns):
            time.sleep(POLL_S)
