"""A benchmark of versions with a stand-in for `loadtest run`: order, resumption, what ends it, start commands."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from loadtest.errors import TargetUnreachableError, UsageError
from loadtest.launch.bench import run_bench
from loadtest.launch.bench_plan import Contender, Plan, contenders

STUB = """
import json, pathlib, sys
words = sys.argv[1:]
out = pathlib.Path(words[words.index("--out") + 1])
said = pathlib.Path(__file__).with_name("said.jsonl")
calls = said.read_text().splitlines() if said.exists() else []
said.write_text("\\n".join([*calls, json.dumps(words)]) + "\\n")
codes = json.loads(pathlib.Path(__file__).with_name("codes.json").read_text())
code = codes[len(calls)] if len(calls) < len(codes) else 0
if code in (0, 1, 3):
    folder = out / f"run-{len(calls)}"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{}")
print("last words")
sys.exit(code)
"""


class Bench:
    """A benchmark in a folder; `codes` are the exit codes of its runs, 0 after the last."""

    def __init__(self, root: Path, codes: list[int]) -> None:
        self.root, self.out, self.told = root, root / "bench", []
        (root / "stub.py").write_text(STUB)
        (root / "codes.json").write_text(json.dumps(codes))

    def plan(self, runs: int = 2, pair: tuple[Contender, ...] = (Contender("a"), Contender("b"))) -> Plan:
        return Plan.open(self.out, "smoke", ["duration=1s"], pair, runs)

    def run(self, plan: Plan) -> None:
        run_bench(plan, 0.0, lambda *step: self.told.append(step), command=[sys.executable, str(self.root / "stub.py")])

    @property
    def calls(self) -> list[list[str]]:
        return [json.loads(line) for line in (self.root / "said.jsonl").read_text().splitlines()]


def test_versions_run_there_and_back_into_folders_of_their_own(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [0, 1])
    plan = bench.plan()
    bench.run(plan)
    assert bench.told == [("a", 1), ("b", 1), ("b", 2), ("a", 2)]
    assert [done.folder for done in plan.done] == ["run-0", "run-1", "run-2", "run-3"]
    assert plan.left == []
    first = " ".join(bench.calls[0])
    assert first.startswith("run smoke ")
    assert f"--out {bench.out / 'a'} --tag bench=1 --set duration=1s --set target.version=a" in first


def test_interrupted_benchmark_goes_on_with_the_run_that_was_not_finished(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [0, 130])
    with pytest.raises(KeyboardInterrupt):
        bench.run(bench.plan())
    again = bench.plan()
    assert [(done.version, done.number) for done in again.done] == [("a", 1)]
    bench.run(again)
    assert bench.told == [("a", 1), ("b", 1), ("b", 1), ("b", 2), ("a", 2)]


def test_the_plan_tells_secrets_apart_and_does_not_hold_them(tmp_path: Path) -> None:
    def opened(secret: str) -> Plan:
        pair = (Contender("a", f"ws://h/?k={secret}"), Contender("b", "ws://h/"))
        return Plan.open(tmp_path, "smoke", [f"client.auth.token={secret}"], pair, 2)

    assert "hunter2" not in opened("hunter2").path.read_text()
    assert opened("hunter2").done == []
    with pytest.raises(UsageError, match=r"another benchmark .*client\.auth\.token=\*\*\*"):
        opened("hunter3")


def test_more_runs_can_be_asked_for_later(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [])
    bench.run(bench.plan(runs=1))
    assert bench.plan(runs=3).left == [("b", 2), ("a", 2), ("a", 3), ("b", 3)]


def test_another_benchmark_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [])
    bench.plan()
    with pytest.raises(UsageError, match="another benchmark"):
        bench.plan(pair=(Contender("a"), Contender("c")))
    (bench.out / "bench.json").write_text("[]")
    with pytest.raises(UsageError, match="cannot be read"):
        bench.plan()


def test_invalid_run_is_tried_again_once_and_then_kept(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [3, 0, 3, 3])
    plan = bench.plan(runs=1)
    bench.run(plan)
    assert [done.folder for done in plan.done] == ["run-1", "run-3"]


@pytest.mark.parametrize(("code", "error"), [(2, UsageError), (4, TargetUnreachableError), (-9, UsageError)])
def test_what_cannot_become_better_ends_it_with_the_last_words(
    tmp_path: Path, code: int, error: type[Exception]
) -> None:
    bench = Bench(tmp_path, [0, code] if code > 0 else [0])
    if code < 0:
        (tmp_path / "codes.json").write_text("[0, 7]")
    with pytest.raises(error, match=r"b, run 1, ended with exit code \d; the same command goes on(.|\n)*last words"):
        bench.run(bench.plan())
    assert len(bench.plan().done) == 1


def test_time_left_is_planned_first_and_measured_then(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [])
    plan = bench.plan(runs=1)
    assert plan.seconds_left(20.0, 5.0) == 2 * 25.0
    bench.run(plan)
    more = bench.plan(runs=2)
    assert more.seconds_left(20.0, 5.0) == pytest.approx(2 * (sum(done.seconds for done in more.done) / 2 + 5.0))


LISTENER = (
    "import socket; s = socket.create_server(('127.0.0.1', {port})); print('up', flush=True)\nwhile True: s.accept()"
)


def test_start_command_runs_for_each_run_and_ends_with_it(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "listen.py").write_text(LISTENER.format(port=port))
    command = f"{sys.executable} {tmp_path / 'listen.py'} & echo $! >> {tmp_path / 'pids'}; wait"
    bench = Bench(tmp_path, [])
    started = Contender("b", f"ws://127.0.0.1:{port}/", command)
    bench.run(bench.plan(runs=1, pair=(Contender("a", "ws://127.0.0.1:1/"), started)))
    assert f"--target ws://127.0.0.1:{port}/" in " ".join(bench.calls[1])
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 1
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pids[0]}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{pids[0]}").exists()


def test_start_command_that_ends_is_named(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [])
    broken = Contender("b", "ws://127.0.0.1:1/", "echo no such thing >&2; exit 5")
    with pytest.raises(TargetUnreachableError, match=r"the start command of b .*exit code 5(.|\n)*no such thing"):
        bench.run(bench.plan(runs=1, pair=(broken, Contender("a"))))


def test_sigterm_ends_the_run_under_way(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [])
    (tmp_path / "stub.py").write_text("import time; time.sleep(60)")
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
    with pytest.raises(KeyboardInterrupt):
        bench.run(bench.plan())
    held = subprocess.run(["pgrep", "-f", str(tmp_path / "stub.py")], capture_output=True, text=True, check=False)
    assert held.stdout == ""


@pytest.mark.parametrize(
    ("versions", "urls", "commands", "wrong"),
    [
        ("a", [], [], "needs two versions"),
        ("a,a", [], [], '"a": named twice'),
        ("a,../b", [], [], "letters, digits"),
        ("a,logs", [], [], "letters, digits"),
        ("a", ["b"], [], "not NAME="),
        ("a,b", [], ["b=run"], "--target b=URL"),
    ],
)
def test_wrong_versions_are_refused(versions: str, urls: list[str], commands: list[str], wrong: str) -> None:
    with pytest.raises(UsageError, match=wrong):
        contenders(versions, urls, commands)


def test_versions_urls_and_commands_are_read() -> None:
    assert contenders("a", ["b=ws://h/?x=1"], ["b=run it"]) == [
        Contender("a"),
        Contender("b", "ws://h/?x=1", "run it"),
    ]
