"""The parent's view of the nursery: who was forked, who has died, and what the dead said last.

Law: every member is accounted for. One whose death the nursery could not report, because the nursery itself died, is
reported as killed: it was tied to the nursery and cannot have outlived it.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from loadtest.clock import NS_PER_S, now_ns
from loadtest.errors import RunInvalidError
from loadtest.launch.children import POLL_S, Child, Exit, describe_status, last_lines, start_child
from loadtest.launch.nursery import ENTRY


@dataclass(frozen=True)
class Member:
    """One forked worker; `role` is "herd" or "publisher", `name` role and number ("herd-1")."""

    name: str
    role: str
    pid: int
    log_path: Path

    def exit(self, status: int) -> Exit:
        """Return its end with the last lines of its log."""
        return Exit(self.name, self.pid, status, tuple(last_lines(self.log_path)))


class Crew:
    """The workers of one run, forked by one nursery child."""

    def __init__(self, child: Child, out_path: Path) -> None:
        self.child = child
        self.ready = False
        self.fork_s: float | None = None
        self._out_path = out_path
        self._read_bytes = 0
        self._members: dict[int, Member] = {}
        self._living: set[int] = set()

    @classmethod
    def start(
        cls,
        *,
        master_host: str,
        master_port: int,
        profile_path: Path,
        run_id: str,
        workers: int,
        publishers: int,
        tables: int = 1,
        log_dir: Path,
        grace_s: float = 5.0,
        entry: str = ENTRY,
    ) -> Crew:
        """Start the nursery; `child` belongs into the run's `Children`, stopped with more time than `grace_s`.

        Args:
            workers: herd workers; publishers: publisher workers. tables: descriptor tables of each herd worker.
            log_dir: one log per worker, and nursery.log, nursery.out.
        """
        out_path = log_dir / "nursery.out"
        argv = [sys.executable, "-m", "loadtest.launch.nursery"]
        argv += ["--master-host", master_host, "--master-port", str(master_port), "--profile", str(profile_path)]
        argv += ["--run-id", run_id, "--workers", str(workers), "--tables", str(tables)]
        argv += ["--publishers", str(publishers)]
        argv += ["--log-dir", str(log_dir), "--grace", str(grace_s), "--entry", entry]
        return cls(start_child("nursery", argv, log_path=log_dir / "nursery.log", out_path=out_path), out_path)

    @property
    def members(self) -> tuple[Member, ...]:
        """Everybody forked so far, dead or alive."""
        return tuple(self._members.values())

    @property
    def living(self) -> tuple[Member, ...]:
        return tuple(member for member in self.members if member.pid in self._living)

    def deaths(self) -> list[Exit]:
        """Read what the nursery has said since the last call; return the deaths in it."""
        nursery_ended = self.child.poll() is not None  # before reading: then its last words are read too
        ends = [end for line in self._new_lines() if (end := self._take(line)) is not None]
        if nursery_ended:
            ends += [member.exit(-signal.SIGKILL) for member in self.living]
            self._living.clear()
        return ends

    def wait_ready(self, timeout_s: float = 30.0) -> list[Exit]:
        """Wait until all workers are forked (not until they have joined the master); return deaths seen meanwhile.

        Raises:
            RunInvalidError: the nursery ended or did not finish in time, with its last log lines.
        """
        deadline_ns = now_ns() + round(timeout_s * NS_PER_S)
        deaths: list[Exit] = []
        while True:
            status = self.child.poll()
            deaths += self.deaths()
            if self.ready:
                return deaths
            if status is not None or now_ns() > deadline_ns:
                how = f"not ready after {timeout_s:g} s" if status is None else f"ended with {describe_status(status)}"
                tail = "".join(f"\n    {line}" for line in last_lines(self.child.log_path))
                raise RunInvalidError(f"the workers could not be started: nursery {how}{tail}")
            time.sleep(POLL_S)

    def _new_lines(self) -> list[str]:
        with self._out_path.open("rb") as file:
            file.seek(self._read_bytes)
            data = file.read()
        whole = data.rpartition(b"\n")[0]
        self._read_bytes += len(whole) + 1 if whole else 0
        return whole.decode("utf-8", "replace").splitlines()

    def _take(self, line: str) -> Exit | None:
        try:
            happening = json.loads(line)
            event = happening["event"]
        except (ValueError, TypeError, KeyError):
            return None  # a library that prints at import; the line stays readable in nursery.out
        if event == "started":
            member = Member(happening["name"], happening["role"], happening["pid"], Path(happening["log"]))
            self._members[member.pid] = member
            self._living.add(member.pid)
        elif event == "ready":
            self.ready = True
            self.fork_s = happening["seconds"]
        elif event == "exit" and happening["pid"] in self._living:
            self._living.discard(happening["pid"])
            return self._members[happening["pid"]].exit(happening["status"])
        return None
