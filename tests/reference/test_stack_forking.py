"""The nursery and its forks as real processes: started, named, told, ended, and gone with whoever holds them."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from reference_gateway.stack.forking import ForkedProcess, Nursery
from reference_gateway.stack.process import cpu_ns, spawn

pytestmark = pytest.mark.e2e

STUB = """
import os, signal, sys, threading, time
IMPORTED = os.getpid()

def work_on(*_):
    end = time.monotonic() + 2.0
    while time.monotonic() < end:
        sum(range(1000))
    os._exit(7)

def main():
    print(os.environ["TOLD"], "HOME" in os.environ, threading.active_count(), os.getppid() == IMPORTED, flush=True)
    if os.environ["TOLD"] == "ends":
        return 3
    if os.environ["TOLD"] == "raises":
        raise ValueError("what went wrong")
    if os.environ["TOLD"] == "works on":
        signal.signal(signal.SIGTERM, work_on)
    if os.environ["TOLD"] == "hangs":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("ready", flush=True)
    while True:
        signal.pause()
"""


class Room:
    """A folder with a package to fork, and a nursery for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        package = folder / "stub_part"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "__main__.py").write_text(STUB)
        self.env = {**os.environ, "PYTHONPATH": str(folder)}
        self.nursery = Nursery(["stub_part"], self.env, folder / "nursery.log")

        self.logs: list[Path] = []

    async def fork(self, told: str) -> ForkedProcess:
        log = self.folder / f"{len(self.logs)}.log"
        log.touch(0o600)
        self.logs.append(log)
        process = await self.nursery.fork(told, "stub_part", {"TOLD": told}, log)
        if told not in ("ends", "raises"):
            async with asyncio.timeout(10):
                while "ready" not in log.read_text():
                    await asyncio.sleep(0.01)
        return process


def run(folder: Path, scenario: Callable[[Room], Awaitable[None]]) -> None:
    async def body() -> None:
        room = Room(folder)
        async with asyncio.timeout(60):
            try:
                await scenario(room)
            finally:
                await room.nursery.end()

    asyncio.run(body())


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_fork_runs_its_module_with_its_own_environment_name_and_log(tmp_path):
    async def scenario(room):
        stays, ends = await room.fork("stays"), await room.fork("ends")
        assert await ends.wait() == ends.returncode == 3
        assert room.logs[1].read_text() == "ends False 1 True\n"
        assert stays.returncode is None
        assert Path(f"/proc/{stays.pid}/comm").read_text() == "stays\n"
        assert os.getpgid(stays.pid) == stays.pid
        assert await stays.end(5.0) == -signal.SIGTERM
        stays.signal(signal.SIGKILL)  # of no effect, and no error

    run(tmp_path, scenario)


def test_fault_of_a_fork_is_in_its_log_and_its_status(tmp_path):
    async def scenario(room):
        raises = await room.fork("raises")
        assert await raises.wait() == 1
        assert "ValueError: what went wrong" in room.logs[0].read_text()

    run(tmp_path, scenario)


def test_many_forks_at_once_come_from_one_process(tmp_path):
    async def scenario(room):
        forks = await asyncio.gather(*(room.fork("stays") for _ in range(20)))
        parents = {Path(f"/proc/{fork.pid}/stat").read_text().rpartition(")")[2].split()[1] for fork in forks}
        assert parents == {str(room.nursery.pid)}
        await asyncio.gather(*(fork.end(5.0) for fork in forks))

    run(tmp_path, scenario)


def test_killed_nursery_takes_its_forks_along_and_the_next_fork_has_a_new_one(tmp_path):
    async def scenario(room):
        one, two = await room.fork("stays"), await room.fork("hangs")
        first = room.nursery.pid
        os.kill(first, signal.SIGKILL)
        assert [await one.wait(), await two.wait()] == [-signal.SIGKILL] * 2
        assert room.nursery.pid is None
        deadline_s = time.monotonic() + 5
        while is_alive(one.pid) or is_alive(two.pid):
            assert time.monotonic() < deadline_s
            await asyncio.sleep(0.01)
        again = await room.fork("stays")
        assert room.nursery.pid not in (None, first)
        await again.end(5.0)

    run(tmp_path, scenario)


def test_end_of_the_nursery_ends_its_forks(tmp_path):
    pids = []

    async def scenario(room):
        pids.extend([(await room.fork("stays")).pid, (await room.fork("hangs")).pid])

    run(tmp_path, scenario)
    deadline_s = time.monotonic() + 5
    while any(is_alive(pid) for pid in pids):
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def test_nursery_that_cannot_import_says_why(tmp_path):
    async def body():
        nursery = Nursery(["no_such_part"], dict(os.environ), tmp_path / "nursery.log")
        with pytest.raises(OSError, match=r"(?s)status 1.*no_such_part"):
            await nursery.fork("one", "no_such_part", {}, tmp_path / "one.log")
        await nursery.end()

    asyncio.run(body())


def test_busy_process_is_left_to_finish_and_a_hanging_one_is_not(tmp_path):
    async def scenario(room):
        busy, hangs, impatient = [await room.fork(told) for told in ("works on", "hangs", "works on")]
        ends = await asyncio.gather(busy.end(0.2, patient=True), hangs.end(0.2, patient=True), impatient.end(0.2))
        assert ends == [7, -signal.SIGKILL, -signal.SIGKILL]

    run(tmp_path, scenario)


def test_cpu_time_is_read_and_unknown_processes_have_none(tmp_path):
    sum(range(1_000_000))
    assert cpu_ns(os.getpid()) > 0

    async def body():
        process = spawn(["true"], {"PATH": os.environ["PATH"]}, tmp_path / "true.log")
        assert await process.wait() == 0
        assert cpu_ns(process.pid) == 0

    asyncio.run(body())
