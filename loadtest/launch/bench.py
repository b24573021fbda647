"""Run the plan of a benchmark: each run a `loadtest run` of its own, interleaved, with a rest between.

    Plan.left --> start command? --> loadtest run --out bench/<version> --> folder written down --> rest --> next

Law: whatever ends it, every process it started has ended, and the same command goes on where it stopped. A run that
failed a threshold is a result. One that measured the harness (invalid) is run again once, then kept and named by the
comparison. What cannot become better by itself (a bad profile, nobody answers) ends the benchmark.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from loadtest.clock import NS_PER_S, now_ns
from loadtest.errors import ExitCode, LoadtestError, TargetUnreachableError, UsageError
from loadtest.launch.bench_plan import Contender, Done, Plan
from loadtest.launch.children import POLL_S, Child, Children, last_lines, start_child

START_TIMEOUT_S = 60.0
_RUN_STOP_S = 20.0
_RESULTS = (ExitCode.PASS, ExitCode.THRESHOLD_FAILED, ExitCode.INVALID)

Tell = Callable[[str, int], None]
"""Called with (version, number) when a run begins."""


def run_bench(
    plan: Plan, rest_s: float, tell: Tell, flags: Sequence[str] = (), command: Sequence[str] | None = None
) -> None:
    """Do what is left of the plan.

    Args:
        rest_s: seconds between two runs.
        tell: told of every run that begins.
        flags: further flags of `loadtest run`.
        command: what to run in place of `loadtest`; None is this installation.

    Raises:
        LoadtestError: a run could not be done, with its last words; the plan is kept.
        KeyboardInterrupt: by SIGINT or SIGTERM; the run under way was ended.
    """
    names = {contender.name: contender for contender in plan.contenders}
    base = list(command or [sys.executable, "-m", "loadtest.cli"])
    with _interruptible():
        for position, (version, number) in enumerate(plan.left):
            if position:
                time.sleep(rest_s)
            tell(version, number)
            plan.finish(_run(plan, names[version], number, [*base, "run", plan.profile, *flags]))


def _run(plan: Plan, contender: Contender, number: int, argv: Sequence[str]) -> Done:
    out, log = plan.path.parent / contender.name, plan.path.parent / "logs" / f"{contender.name}-{number}.log"
    argv = [*argv, "--out", str(out), "--tag", f"bench={number}"]
    settings = [*plan.settings, f"target.version={contender.name}"]
    argv += [word for setting in settings for word in ("--set", setting)]
    argv += ["--target", contender.url] if contender.url else []
    code, seconds, folder = int(ExitCode.INVALID), 0.0, None
    for _ in range(2):  # an invalid run is tried again once
        began_ns, before = now_ns(), _folders(out)
        with _target(contender, log):
            code = _wait(
                start_child(f"{contender.name}, run {number}", argv, log_path=log, death_signal=signal.SIGTERM)
            )
        seconds = (now_ns() - began_ns) / NS_PER_S
        folder = next(iter(_folders(out) - before), None)
        if code != ExitCode.INVALID:
            break
    if code not in _RESULTS or folder is None:
        raise _failure(contender, number, code, log)
    return Done(contender.name, number, folder, round(seconds, 1))


def _wait(child: Child) -> int:
    children = Children()
    children.add(child)
    try:
        while (status := child.poll()) is None:
            time.sleep(POLL_S)
        return status
    finally:
        children.stop(_RUN_STOP_S)


@contextmanager
def _target(contender: Contender, log: Path) -> Iterator[None]:
    """Start the version's own command, wait until its URL takes connections, end it and what it started."""
    if contender.start is None or contender.url is None:
        yield
        return
    said = log.with_suffix(".target.log")
    children = Children()
    child = children.add(start_child(contender.name, ["/bin/sh", "-c", contender.start], log_path=said))
    try:
        _wait_for(contender, contender.url, child, said)
        yield
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGTERM)  # the shell leads a session: its whole group
        children.stop()


def _wait_for(contender: Contender, url: str, child: Child, said: Path) -> None:
    parts = urlsplit(url)
    address = (parts.hostname or "", parts.port or (443 if parts.scheme in ("wss", "https") else 80))
    deadline_ns = now_ns() + round(START_TIMEOUT_S * NS_PER_S)
    while now_ns() < deadline_ns:
        if (end := child.exit()) is not None:
            raise TargetUnreachableError(f"the start command of {end}")
        try:
            with socket.create_connection(address, timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    tail = "".join(f"\n    {line}" for line in last_lines(said))
    raise TargetUnreachableError(
        f"{contender.name}: nobody listens at {url} {START_TIMEOUT_S:g} s after its start{tail}"
    )


def _folders(out: Path) -> set[str]:
    return {path.name for path in out.iterdir() if path.is_dir()} if out.is_dir() else set()


def _failure(contender: Contender, number: int, code: int, log: Path) -> LoadtestError:
    tail = "".join(f"\n    {line}" for line in last_lines(log))
    told = f"{contender.name}, run {number}, ended with exit code {code}; the same command goes on from here{tail}"
    if code == ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    return TargetUnreachableError(told) if code == ExitCode.UNREACHABLE else UsageError(told)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Take SIGTERM like Ctrl-C, so that what runs is ended in order."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
