"""One process that imports everything heavy once and forks the workers, which then share that memory.

    loadtest run --start_child--> nursery --fork--> worker (herd) ... worker (publisher)
                  <-- stdout: one JSON line per happening --
                      {"event": "started", "name": "herd-1", "role": "herd", "pid": 7, "log": "..."}
                      {"event": "ready", "workers": 2, "publishers": 1, "seconds": 0.9}
                      {"event": "exit", "name": "herd-1", "role": "herd", "pid": 7, "status": -9}

Laws: no thread and no gevent hub exists at a fork (importing Locust makes a hub by way of urllib3's IPv6 test; it is
destroyed here, and each worker makes its own). A worker dies with the nursery, the nursery with its parent. A dead
worker is reported, never replaced: its connections are lost and must be counted as lost. SIGTERM ends every worker:
SIGTERM, the grace period, SIGKILL.

Run as `python -m loadtest.launch.nursery`; it is no interface for people.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from loadtest.clock import NS_PER_S, now_ns
from loadtest.herd import sharing
from loadtest.launch.lifeline import tie_to_parent

Entry = Callable[..., int]
"""`run_worker(master_host=, master_port=, role=, profile_path=, run_id=) -> exit code`."""

ENTRY = "loadtest.users.worker:run_worker"
ROLES = ("herd", "publisher")
HEARD = frozenset({signal.SIGCHLD, signal.SIGTERM, signal.SIGINT})
"""Blocked in the nursery and taken one by one with sigtimedwait: no handler ever runs between two bytecodes."""


def say(**happening: object) -> None:
    """Write one happening to stdout as a JSON line."""
    sys.stdout.write(json.dumps(happening) + "\n")
    sys.stdout.flush()


def load_entry(name: str) -> Entry:
    """Import `module:function`, and with it everything the workers will share."""
    module, _, function = name.partition(":")
    entry: Entry = getattr(importlib.import_module(module), function)
    return entry


def forget_hub() -> None:
    """Destroy the gevent hub that imports have made, if any, so that no event loop crosses a fork."""
    hub_local = sys.modules.get("gevent._hub_local")
    hub = None if hub_local is None else hub_local.get_hub_if_exists()
    if hub is not None:
        hub.destroy(destroy_loop=True)


def raw_fork() -> int:
    """Fork without gevent's child watchers, which would take our workers' exit statuses; 0 in the new process."""
    gevent_os = sys.modules.get("gevent.os")
    return os.fork() if gevent_os is None else int(gevent_os.fork_gevent())


def raw_waitpid() -> tuple[int, int]:
    """Reap one ended worker without waiting: (pid, wait status), (0, 0) when none has ended."""
    monkey = sys.modules.get("gevent.monkey")
    waitpid = os.waitpid if monkey is None else monkey.get_original("os", "waitpid")
    try:
        pid, status = waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return 0, 0
    return int(pid), int(status)


class Nursery:
    """The forked workers, from first to last."""

    def __init__(self, log_dir: Path, grace_s: float) -> None:
        self._log_dir = log_dir
        self._grace_s = grace_s
        self._living: dict[int, tuple[str, str]] = {}
        self.worst_status = 0

    def fork(self, name: str, role: str, work: Callable[[], int]) -> None:
        """Fork one worker that runs `work` and ends with its exit code."""
        nursery_pid = os.getpid()
        log_path = self._log_dir / f"{name}.log"
        pid = raw_fork()
        if pid == 0:
            become_worker(nursery_pid, log_path, work)
        self._living[pid] = (name, role)
        say(event="started", name=name, role=role, pid=pid, log=str(log_path))

    def watch(self) -> None:
        """Report deaths until no worker is left, or until SIGTERM or SIGINT asks for the end."""
        while self._living:
            if signal.sigwaitinfo(HEARD).si_signo != signal.SIGCHLD:
                self.stop()
            self.reap()

    def reap(self) -> None:
        """Report every worker that has ended."""
        while (ended := raw_waitpid())[0]:
            pid, status = ended[0], os.waitstatus_to_exitcode(ended[1])
            if pid not in self._living:
                continue  # started by an import, none of ours
            name, role = self._living.pop(pid)
            self.worst_status = self.worst_status or status
            say(event="exit", name=name, role=role, pid=pid, status=status)

    def stop(self) -> None:
        """End all workers: SIGTERM, the grace period, SIGKILL; returns when none is left."""
        self._signal_all(signal.SIGTERM, signal.SIGCONT)
        deadline_ns = now_ns() + round(self._grace_s * NS_PER_S)
        while self._living and (left_ns := deadline_ns - now_ns()) > 0:
            signal.sigtimedwait({signal.SIGCHLD}, left_ns / NS_PER_S)
            self.reap()
        self._signal_all(signal.SIGKILL)
        while self._living:
            signal.sigwaitinfo({signal.SIGCHLD})
            self.reap()

    def _signal_all(self, *numbers: int) -> None:
        for pid in self._living:  # not reaped yet, so the pid is still theirs
            for number in numbers:
                os.kill(pid, number)


def become_worker(nursery_pid: int, log_path: Path, work: Callable[[], int]) -> NoReturn:
    """Turn the freshly forked process into a worker: tied, logging to its own file.

    Its random numbers are its own too: the random module seeds itself anew after a fork.
    """
    status = 1
    try:
        tie_to_parent(nursery_pid, signal.SIGKILL)
        log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
        gc.enable()
        status = work()
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:  # noqa: BLE001 - the last frame of this process: it goes to the log and becomes the status
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status & 0xFF)  # never unwind into the nursery's own frames and exit handlers


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the nursery's command line."""
    parser = argparse.ArgumentParser(prog="loadtest.launch.nursery", description="Fork the load workers of one run.")
    parser.add_argument("--master-host", required=True)
    parser.add_argument("--master-port", type=int, required=True)
    parser.add_argument("--profile", type=Path, required=True, help="the profile as run")
    parser.add_argument("--run-id", default="")
    parser.add_argument("--workers", type=int, default=1, help="herd workers")
    parser.add_argument("--tables", type=int, default=1, help="descriptor tables of each herd worker")
    parser.add_argument("--publishers", type=int, default=0)
    parser.add_argument("--log-dir", type=Path, required=True)
    parser.add_argument("--grace", type=float, default=5.0, help="seconds between SIGTERM and SIGKILL")
    parser.add_argument("--entry", default=ENTRY, help="module:function that each worker calls")
    return parser.parse_args(argv)


def yield_the_core(herds: int) -> None:
    """Run as a batch process where more herds than cores share a machine, and let the engine know how many do.

    A batch process is not switched to the moment something arrives for it: it finds more to do when its turn comes.
    With six workers and six gateway nodes on two cores that brought 7,000-8,000 connects a second instead of 5,000.
    Publishers stay as they are, and so go first.
    """
    if sharing.tell(herds) > 1:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def main(argv: Sequence[str] | None = None) -> int:
    """Import, freeze, fork, watch; return 0 when every worker ended with 0."""
    options = parse(argv)
    began_ns = now_ns()
    options.log_dir.mkdir(parents=True, exist_ok=True)
    entry = load_entry(options.entry)
    forget_hub()
    gc.disable()  # a collection between freeze and fork would write to the pages meant to be shared
    gc.collect()
    gc.freeze()
    signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
    nursery = Nursery(options.log_dir, options.grace)
    for role, count in zip(ROLES, (options.workers, options.publishers), strict=True):

        def work(role: str = role) -> int:
            if role == "herd":
                yield_the_core(options.workers * options.tables)
            return entry(
                master_host=options.master_host,
                master_port=options.master_port,
                role=role,
                profile_path=str(options.profile),
                run_id=options.run_id,
            )

        for number in range(1, count + 1):
            nursery.fork(f"{role}-{number}", role, work)
    seconds = round((now_ns() - began_ns) / NS_PER_S, 3)
    say(event="ready", workers=options.workers, publishers=options.publishers, seconds=seconds)
    nursery.watch()
    return int(nursery.worst_status != 0)


if __name__ == "__main__":
    sys.exit(main())
