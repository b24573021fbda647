"""What end-to-end tests share: servers that the project did not write, the kernel's view, and no process left behind.

def test_x(socketio_target, kernel_established): ...     a target's process ends with its test
def test_y(no_leftovers): ...                            every process started in the test must be gone at its end
def test_z(loadtest_run): ...                            `loadtest run` as a user starts it, its words, its folder
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from loadtest.launch.children import Child, Children, last_lines, start_child

TARGETS = Path(__file__).parent / "targets"
ESTABLISHED = "01"
MARK = "LOADTEST_TEST_MARK"


# --- no process left ---------------------------------------------------------------------------------------------


def marked_processes(mark: str) -> dict[int, str]:
    """Return pid -> command line of the processes that were started with `mark` in their environment."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found[int(folder.name)] = (
                    (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                )
        except OSError:
            continue  # ended while we looked, or somebody else's
    return found


@pytest.fixture
def no_leftovers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail the test if any process started in it, however it detached itself, still runs two seconds after its end."""
    mark = uuid.uuid4().hex
    monkeypatch.setenv(MARK, mark)
    yield
    deadline = time.monotonic() + 2
    while (left := marked_processes(mark)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, f"left running: {left}"


# --- the kernel's view -------------------------------------------------------------------------------------------

CountEstablished = Callable[..., int]


@pytest.fixture
def kernel_established() -> CountEstablished:
    """Return `count(port=None, pids=None, host="127.0.0.1")`: established TCP sockets, as the kernel counts them.

    port: only the clients' ends of connections to this port of `host` (on loopback both ends are on this machine; the
        host matters, since a client on another address of 127/8 may by chance leave from a port of that number).
    pids: only sockets that one of these processes holds.
    """
    return count_established


def count_established(port: int | None = None, pids: Collection[int] | None = None, host: str = "127.0.0.1") -> int:
    wanted = None if pids is None else {inode for pid in pids for inode in socket_inodes(pid)}
    remote = None if port is None else f"{socket.inet_aton(host)[::-1].hex().upper()}:{port:04X}"
    found = set()  # of address pairs: the kernel's list may repeat or skip lines while other sockets come and go
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if not Path(table).exists():
            continue
        with Path(table).open() as lines:
            next(lines)
            for line in lines:
                fields = line.split(None, 10)
                if fields[3] != ESTABLISHED or (remote is not None and fields[2] != remote):
                    continue
                if wanted is None or fields[9] in wanted:
                    found.add((fields[1], fields[2]))
    return len(found)


def socket_inodes(pid: int) -> Iterator[str]:
    """Yield the inodes of a process's sockets."""
    for entry in os.scandir(f"/proc/{pid}/fd"):
        try:
            link = os.readlink(entry.path)  # noqa: PTH115 - ten thousands of them
        except OSError:
            continue  # closed while we looked
        if link.startswith("socket:["):
            yield link[8:-1]


# --- loadtest run ------------------------------------------------------------------------------------------------


@dataclass
class LoadtestRun:
    """One `loadtest run`, under way or over; `out` is its --out folder, `log` what it says (stdout and stderr)."""

    process: subprocess.Popen[bytes]
    out: Path
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text()

    @property
    def folders(self) -> list[Path]:
        return sorted(self.out.iterdir()) if self.out.exists() else []

    @property
    def folder(self) -> Path:
        """The one folder of the run."""
        (folder,) = self.folders
        return folder

    @property
    def result(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "run.json").read_text()))

    def wait(self, seconds: float = 60) -> int:
        """Return the exit code; the test fails when it takes longer."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            pytest.fail(f"still running after {seconds:g} s; it said:\n{self.said}")

    def until(self, condition: Callable[[], object], seconds: float = 30) -> Any:
        """Wait until `condition()` is true and return what it says; the run must not end before."""
        deadline = time.monotonic() + seconds
        while not (answer := condition()):
            assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.said}"
            assert time.monotonic() < deadline, f"not within {seconds:g} s; it said:\n{self.said}"
            time.sleep(0.02)
        return answer

    def until_said(self, text: str, seconds: float = 30) -> None:
        """Wait until it has said `text`."""
        self.until(lambda: text in self.said, seconds)

    def workers(self) -> dict[str, int]:
        """Return name ("herd-1") -> pid of every worker that was forked."""
        told = (json.loads(line) for line in (self.folder / "logs" / "nursery.out").read_text().splitlines())
        return {each["name"]: each["pid"] for each in told if each["event"] == "started"}

    def parts(self) -> dict[str, int]:
        """Return name ("gateway-1") -> pid of every process of the reference stack, and "stack" itself."""
        ready = json.loads((self.folder / "logs" / "stack.json").read_text())
        return {"stack": ready["pid"]} | {part["name"]: part["pid"] for part in ready["parts"]}


StartRun = Callable[..., LoadtestRun]


def first(command: str) -> list[str]:
    """Return what starts the command that follows it in a shell that has run `command` before."""
    return ["/bin/sh", "-c", f'{command} && exec "$@"', "sh"]


@pytest.fixture
def loadtest_run(no_leftovers: None, tmp_path: Path) -> Iterator[StartRun]:
    """Return `start(profile, *arguments, name="profile", fds=None, under=())`: starts `loadtest run` for one test.

    profile: TOML text (written to `<tmp_path>/<name>.toml`), or the path or name of a profile.
    fds: limit of open files to start it under. under: a command to start it by, such as `first(...)`.
    """
    started: list[LoadtestRun] = []

    def start(
        profile: str | Path,
        *arguments: str,
        name: str = "profile",
        fds: int | None = None,
        under: Sequence[str] = (),
    ) -> LoadtestRun:
        if "\n" in str(profile):
            path = tmp_path / f"{name}.toml"
            path.write_text(str(profile))
            profile = path
        number = len(started)
        out, log = tmp_path / f"runs-{number}", tmp_path / f"output-{number}"
        argv = [sys.executable, "-m", "loadtest.cli", "run", str(profile), "--out", str(out), *arguments]
        argv = [*under, *([] if fds is None else first(f"ulimit -n {fds}")), *argv]
        with log.open("wb") as output:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=tmp_path)
        started.append(LoadtestRun(process, out, log))
        return started[-1]

    yield start
    for run in started:  # of a test that failed
        if run.process.poll() is None:
            run.process.terminate()
            try:
                run.process.wait(12)
            except subprocess.TimeoutExpired:
                run.process.kill()
                run.process.wait()


# --- workers that join -------------------------------------------------------------------------------------------


Join = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def join(no_leftovers: None, port: int, tmp_path: Path) -> Iterator[Join]:
    """Return `start(*arguments, files=None)`: starts `loadtest worker` for a master at `port`, ended with the test.

    files: limit of open files to start it under. locustfile: a plain `locust --worker` with it instead.
    """
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, files: int | None = None, locustfile: str = "") -> subprocess.Popen[str]:
        argv = [sys.executable, "-m", "loadtest.cli", "worker", "--master", f"127.0.0.1:{port}", *arguments]
        if locustfile:
            argv = [sys.executable, "-m", "locust", "-f", locustfile, "--worker", f"--master-port={port}", *arguments]
        argv = [*([] if files is None else first(f"ulimit -n {files}")), *argv]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=20)


# --- targets -----------------------------------------------------------------------------------------------------


@dataclass
class ForeignTarget:
    """A running server of somebody else; `url` is ws:// or wss:// without a path, `said` its first line of stdout."""

    child: Child
    said: dict[str, Any]
    scheme: str = "ws"

    @property
    def pid(self) -> int:
        return self.child.pid

    @property
    def port(self) -> int:
        return int(self.said["port"])

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def http_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def drop(self) -> None:
        """Have it disconnect everybody."""
        self.child.signal(signal.SIGUSR2)

    def count(self) -> dict[str, Any]:
        """Return what it says of itself: {"sockets": n, ...}."""
        with urllib.request.urlopen(f"{self.http_url}/count", timeout=10) as response:
            return dict(json.load(response))


StartTarget = Callable[..., ForeignTarget]


@pytest.fixture
def start_target(no_leftovers: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartTarget]:
    """Return `start(name, argv, environment=None)`: runs a target until the end of the test."""
    children = Children()

    def start(
        name: str, argv: list[str], environment: dict[str, str] | None = None, scheme: str = "ws"
    ) -> ForeignTarget:
        folder = tmp_path_factory.mktemp(name)
        out_path, merged = folder / "out", os.environ | (environment or {})
        child = start_child(name, argv, log_path=folder / "log", out_path=out_path, environment=merged)
        children.add(child)
        deadline = time.monotonic() + 20
        while not out_path.read_bytes().endswith(b"\n"):
            status, tail = child.poll(), "\n".join(last_lines(child.log_path))
            assert status is None, f"target {name} ended with {status}:\n{tail}"
            assert time.monotonic() < deadline, f"target {name} does not come up:\n{tail}"
            time.sleep(0.01)
        return ForeignTarget(child, json.loads(out_path.read_text().splitlines()[0]), scheme)

    yield start
    children.stop(3)


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """Return node_modules with socket.io and socket.io-client 4, kept in the user's cache; skip without node."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    package = TARGETS / "package.json"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gateway-loadtest"
    folder = cache / f"npm-{hashlib.sha256(package.read_bytes()).hexdigest()[:12]}"
    if not (folder / "node_modules").is_dir():
        fresh = cache / f"{folder.name}.{uuid.uuid4().hex}"
        fresh.mkdir(parents=True)
        shutil.copy(package, fresh)
        command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]
        done = subprocess.run(command, cwd=fresh, capture_output=True, text=True, check=False, timeout=100)
        if done.returncode != 0:
            shutil.rmtree(fresh)
            pytest.skip(f"npm install of {package.name} failed: {done.stderr.strip()[-200:]}")
        try:
            fresh.rename(folder)
        except OSError:  # another session was faster
            shutil.rmtree(fresh)
    return folder / "node_modules"


@pytest.fixture
def socketio_target(node_modules: Path, start_target: StartTarget) -> ForeignTarget:
    """Run the npm socket.io server; path /socket.io/, see targets/socketio_server.js for its events."""
    return start_target(
        "socketio_server", ["node", str(TARGETS / "socketio_server.js")], {"NODE_PATH": str(node_modules)}
    )


@pytest.fixture
def websocket_target(start_target: StartTarget) -> ForeignTarget:
    """Run the `websockets` server; any path, see targets/websocket_server.py for its messages."""
    return start_target("websocket_server", [sys.executable, str(TARGETS / "websocket_server.py")])


@pytest.fixture
def hostile_target(start_target: StartTarget) -> ForeignTarget:
    """Run the misbehaving server; `said["refused_port"]` refuses, see targets/hostile.py for its paths."""
    return start_target("hostile", [sys.executable, str(TARGETS / "hostile.py")])
