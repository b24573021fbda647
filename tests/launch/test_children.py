"""Children: started, watched and ended for certain. Real processes, so the whole file is e2e."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from loadtest.errors import UsageError
from loadtest.launch.children import Child, Children, describe_status, last_lines, start_child

pytestmark = pytest.mark.e2e

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
while True:
    time.sleep(60)
"""


ORDERLY = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("ready", flush=True)
time.sleep(60)
"""


def python(name: str, code: str, folder: Path) -> Child:
    return start_child(name, [sys.executable, "-c", code], log_path=folder / f"{name}.log")


def test_lost_names_the_child_with_status_and_last_lines_once(tmp_path: Path, wait_until: Callable[..., None]) -> None:
    children = Children()
    children.add(python("gateway", "print('one'); print('two'); raise SystemExit(7)", tmp_path))
    wait_until(lambda: not children.alive())
    (end,) = children.lost()
    assert (end.name, end.status, end.tail) == ("gateway", 7, ("one", "two"))
    assert "gateway" in str(end)
    assert "exit code 7" in str(end)
    assert children.lost() == []


def test_lost_tells_the_signal_of_a_killed_child(tmp_path: Path, wait_until: Callable[..., None]) -> None:
    children = Children()
    child = children.add(python("worker", "import time; time.sleep(60)", tmp_path))
    os.kill(child.pid, signal.SIGKILL)
    wait_until(lambda: not children.alive())
    (end,) = children.lost()
    assert end.status == -signal.SIGKILL
    assert "SIGKILL" in str(end)


def test_stop_ends_willing_deaf_and_frozen_children_in_parallel(
    tmp_path: Path, wait_until: Callable[..., None], running: Callable[..., bool]
) -> None:
    children = Children()
    for number in range(3):
        children.add(python(f"deaf-{number}", STUBBORN, tmp_path))
    frozen = children.add(python("frozen", ORDERLY, tmp_path))
    wait_until(lambda: all(last_lines(child.log_path) for child in children))
    os.kill(frozen.pid, signal.SIGSTOP)
    began = time.monotonic()
    ends = {end.name: end.status for end in children.stop(timeout_s=0.5)}
    assert time.monotonic() - began < 2.0
    assert ends == {
        "deaf-0": -signal.SIGKILL,
        "deaf-1": -signal.SIGKILL,
        "deaf-2": -signal.SIGKILL,
        "frozen": 0,
    }
    assert not any(running(child.pid) for child in children)
    assert children.lost() == []
    assert len(children.stop()) == 4


def test_stop_takes_the_process_group_of_a_deaf_child(
    tmp_path: Path, wait_until: Callable[..., None], running: Callable[..., bool]
) -> None:
    code = "import subprocess,sys;p=subprocess.Popen(['sleep','60']);print(p.pid,flush=True)\n" + STUBBORN
    children = Children()
    child = children.add(python("deaf", code, tmp_path))
    wait_until(lambda: len(last_lines(child.log_path)) == 2)
    grandchild = int(last_lines(child.log_path)[0])
    children.stop(timeout_s=0.1)
    wait_until(lambda: not running(grandchild))


def test_child_dies_when_its_parent_is_killed(
    tmp_path: Path, wait_until: Callable[..., None], running: Callable[..., bool]
) -> None:
    code = f"""
import sys, time
from pathlib import Path
from loadtest.launch.children import start_child
child = start_child("c", ["sleep", "60"], log_path=Path({str(tmp_path / "c.log")!r}))
print(child.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert running(pid)
        parent.kill()
    wait_until(lambda: not running(pid))


def test_child_whose_parent_is_gone_before_the_tie_ends_itself() -> None:
    code = "from loadtest.launch.lifeline import tie_to_parent; tie_to_parent(1 << 22); print('alive')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (113, "")


def test_supervision_works_in_a_patched_process(tmp_path: Path) -> None:
    code = f"""
from gevent import monkey; monkey.patch_all()
import gevent, sys, time
from pathlib import Path
from loadtest.launch.children import Children, start_child
turns = 0
def tick():
    global turns
    while True:
        turns += 1
        gevent.sleep(0.01)
gevent.spawn(tick)
folder = Path({str(tmp_path)!r})
children = Children()
children.add(start_child("quick", [sys.executable, "-c", "print('bye'); raise SystemExit(3)"],
                         log_path=folder / "quick.log"))
while len(children.alive()):
    time.sleep(0.01)
assert [(e.name, e.status, e.tail) for e in children.lost()] == [("quick", 3, ("bye",))]
children.add(start_child("deaf", [sys.executable, "-c", {STUBBORN!r}], log_path=folder / "deaf.log"))
while not (folder / "deaf.log").read_text():
    time.sleep(0.01)
before = turns
assert [e.status for e in children.stop(0.3)] == [3, -9]
assert turns - before > 10, turns
print("fine")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == "fine\n", done.stderr


def test_start_of_a_missing_program_says_which(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"ghost cannot be started: /no/such/program: No such file"):
        start_child("ghost", ["/no/such/program"], log_path=tmp_path / "x.log")


def test_add_refuses_a_second_child_of_the_same_name(tmp_path: Path) -> None:
    children = Children()
    child = children.add(python("a", "pass", tmp_path))
    with pytest.raises(ValueError, match="'a' is already supervised"):
        children.add(child)
    children.stop()


@pytest.mark.parametrize(
    ("status", "text"), [(0, "exit code 0"), (2, "exit code 2"), (-15, "signal SIGTERM"), (-99, "signal 99")]
)
def test_describe_status(status: int, text: str) -> None:
    assert describe_status(status) == text


def test_last_lines_reads_the_end_of_a_large_file_and_nothing_of_a_missing_one(tmp_path: Path) -> None:
    path = tmp_path / "big.log"
    path.write_text("".join(f"line {n}\n" for n in range(100_000)))
    assert last_lines(path, 2) == ["line 99998", "line 99999"]
    assert last_lines(tmp_path / "none.log") == []
