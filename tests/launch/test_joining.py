"""`loadtest worker`: refused, unanswered, abandoned, ended; each with its reason and its exit code.

Waits of a minute are cut short in the worker processes alone, by an entry of our own that changes the constants.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from loadtest.errors import ExitCode, UsageError
from loadtest.launch.address import Address
from loadtest.launch.children import Exit
from loadtest.launch.joining import Joining, join, judge

ENTRY = """
from loadtest.users import worker, worker_bridge
worker.JOIN_TIMEOUT_S, worker.JOIN_STEP_S, worker.MASTER_SILENCE_S = 2, 1, 2
def run(**arguments):
    return worker.run_remote_worker(**arguments)
def run_as_another_version(**arguments):
    worker_bridge.__version__ = "9.9.9"
    return worker.run_remote_worker(**arguments)
"""
MASTER = """
import sys
import locust, gevent
from locust.env import Environment
environment = Environment(events=locust.events)
runner = environment.create_master_runner("127.0.0.1", int(sys.argv[1]))
if "with-bridge" in sys.argv:
    from loadtest.users.master_bridge import MasterBridge
    bridge = MasterBridge(environment)
sys.stdout.write("up\\n")
sys.stdout.flush()
if "quit" in sys.argv:
    while not bridge.workers:
        gevent.sleep(0.01)
    runner.quit()
else:
    gevent.sleep(60)
"""


def test_the_count_is_one_per_core_and_one_publisher() -> None:
    master = Address("127.0.0.1")
    assert Joining(master).count == len(os.sched_getaffinity(0))
    assert Joining(master, "publisher").count == 1
    assert Joining(master, processes=7).count == 7


def end(number: int, status: int, *tail: str) -> Exit:
    return Exit(f"herd-{number}", 100 + number, status, tail)


LOG = "2026-11-23 15:52:04,441 ERROR loadtest.users.worker_bridge: "


@pytest.mark.parametrize(
    ("ends", "code", "said"),
    [
        ([end(1, 0), end(2, 0)], ExitCode.PASS, []),
        (
            [
                end(1, 2, LOG + "the master refused this worker: too late"),
                end(2, 2, LOG + "the master refused this worker: too late"),
            ],
            ExitCode.USAGE,
            ["herd-1, herd-2: the master refused this worker: too late"],
        ),
        ([end(1, 4, "INFO x", LOG + "silence", "bye"), end(2, 0)], ExitCode.UNREACHABLE, ["herd-1: silence"]),
        ([end(1, -9), end(2, 0)], ExitCode.INVALID, ["herd-1: signal SIGKILL"]),
        ([end(1, 1, "RuntimeError: x")], ExitCode.INVALID, ["herd-1: exit code 1\n    RuntimeError: x"]),
        ([end(1, 2)], ExitCode.USAGE, ["herd-1: exit code 2"]),
    ],
)
def test_bad_ends_are_told_once_each(ends: list[Exit], code: ExitCode, said: list[str]) -> None:
    told: list[str] = []
    assert judge(ends, told.append) is code
    assert told == said


def test_a_host_that_cannot_be_looked_up_is_said_at_once() -> None:
    with pytest.raises(UsageError, match="--master: the host no such host"):
        join(Joining(Address("no such host")), lambda _: None)


# --- real processes ----------------------------------------------------------------------------------------------


Master = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def master(port: int, tmp_path: Path) -> Iterator[Master]:
    """Return `start(*words)`: a Locust master, with our bridge or without."""
    started: list[subprocess.Popen[bytes]] = []
    script = tmp_path / "master.py"
    script.write_text(MASTER)

    def start(*words: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, str(script), str(port), *words], stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


Joined = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def joined(port: int, tmp_path: Path) -> Iterator[Joined]:
    """Return `start(entry, processes=1)`: `join` in a process of its own."""
    (tmp_path / "quick_entry.py").write_text(ENTRY)
    script = tmp_path / "join.py"
    script.write_text(
        textwrap.dedent(
            """
            import sys
            from loadtest.launch.address import Address
            from loadtest.launch.joining import Joining, join
            joining = Joining(Address("127.0.0.1", int(sys.argv[1])), processes=int(sys.argv[3]))
            def say(text):
                sys.stdout.write(text + "\\n")
                sys.stdout.flush()
            sys.exit(int(join(joining, say, entry="quick_entry:" + sys.argv[2])))
            """
        )
    )
    started: list[subprocess.Popen[str]] = []

    def start(entry: str = "run", processes: int = 1) -> subprocess.Popen[str]:
        argv = [sys.executable, str(script), str(port), entry, str(processes)]
        environment = os.environ | {
            "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}",
            "TMPDIR": str(tmp_path),
        }
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
    assert not list(tmp_path.glob("loadtest-worker-*")), "private folders are removed"


@pytest.mark.e2e
def test_another_version_is_refused_with_the_reason(master: Master, joined: Joined) -> None:
    master("with-bridge")
    worker = joined("run_as_another_version", 2)
    said, _ = worker.communicate(timeout=40)
    assert worker.returncode == 2, said
    assert "herd-1, herd-2: the master refused this worker: it runs version 9.9.9, the master" in said


@pytest.mark.e2e
def test_nobody_there_is_given_up(joined: Joined, port: int) -> None:
    worker = joined()
    said, _ = worker.communicate(timeout=40)
    assert worker.returncode == 4, said
    assert f"the master at 127.0.0.1:{port} did not answer within 2 s" in said


@pytest.mark.e2e
def test_a_locust_without_a_run_of_ours_is_given_up(master: Master, joined: Joined) -> None:
    master()
    worker = joined()
    said, _ = worker.communicate(timeout=40)
    assert worker.returncode == 4, said
    assert "speaks Locust, but no run of loadtest is behind it" in said


@pytest.mark.e2e
def test_the_end_of_the_run_is_the_end_of_the_worker(master: Master, joined: Joined) -> None:
    master("with-bridge", "quit")
    worker = joined()
    said, _ = worker.communicate(timeout=40)
    assert worker.returncode == 0, said


@pytest.mark.e2e
def test_a_master_that_dies_ends_the_worker(master: Master, joined: Joined) -> None:
    process = master("with-bridge")
    worker = joined()
    assert worker.stdout is not None
    assert "Ctrl-C ends them" in worker.stdout.readline()
    with pytest.raises(subprocess.TimeoutExpired):
        worker.wait(3)  # heartbeats keep it, longer than it would bear silence
    process.kill()
    said, _ = worker.communicate(timeout=40)
    assert worker.returncode == 4, said
    assert "fell silent" in said


@pytest.mark.e2e
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_everything(master: Master, joined: Joined, number: signal.Signals) -> None:
    master("with-bridge")
    worker = joined(processes=2)
    assert worker.stdout is not None
    assert "2 herd workers" in worker.stdout.readline()
    worker.send_signal(number)
    worker.communicate(timeout=20)
    assert worker.returncode == 130
