"""Run `reference-gateway up` for a test, as a user would: a real command, its ready file, its end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

COMMAND = [sys.executable, "-m", "reference_gateway.cli"]


@dataclass
class RunningStack:
    """A stack whose ready file has been written."""

    process: subprocess.Popen[str]
    ready_file: Path
    ready: dict[str, Any]
    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def pids(self) -> dict[str, int]:
        """Return the process id of each part now."""
        return {part["name"]: part["pid"] for part in self.status()["parts"]}

    def status(self) -> dict[str, Any]:
        return self.control("GET", "/v1/status")[1]

    def control(self, method: str, path: str, body: Any = None, token: str | None = None) -> tuple[int, Any]:
        """Ask the control server; return (status, JSON)."""
        token = self.ready["control"]["token"] if token is None else token
        return ask(self.ready["control"]["url"] + path, method, body, token)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a reference-gateway command against this stack."""
        argv = [*COMMAND, *arguments, "--ready-file", str(self.ready_file)]
        return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)

    def wait_for(self, condition: Any, seconds: float = 15) -> None:
        """Poll the status until `condition(status)` holds."""
        deadline = time.monotonic() + seconds
        while not condition(self.status()):
            assert time.monotonic() < deadline, self.status()
            time.sleep(0.05)


def ask(url: str, method: str = "GET", body: Any = None, token: str = "") -> tuple[int, Any]:
    """Send one HTTP request; return (status, JSON)."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Authorization": f"Bearer {token}"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def edit(ready: dict[str, Any], timeout_s: float = 5.0) -> int:
    """Store a revision directly at the service; return the HTTP status."""
    (url,) = (part["url"] for part in ready["parts"] if part["name"] == "collections")
    where = urlsplit(url)
    body = b'{"parameter": "url", "text": "x", "author": "a"}'
    head = (
        f"POST /v1/collections/c/edits HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((where.hostname, where.port), timeout_s) as sock:
        sock.sendall(head.encode() + body)
        return int(sock.makefile("rb").readline().split()[1])


def tell_broker(ready: dict[str, Any], name: str, command: str) -> str:
    """Send one inline command to a server of the broker; return all it answers."""
    (url,) = (part["url"] for part in ready["parts"] if part["name"] == name)
    where = urlsplit(url)
    with socket.create_connection((where.hostname, where.port), 2) as sock:
        sock.sendall(f"{command}\r\nQUIT\r\n".encode())
        return sock.makefile("rb").read().decode()


def roles(ready: dict[str, Any]) -> dict[str, tuple[bool, bool]]:
    """Return (is the primary, its link to the primary is up) of each server of the broker."""
    names = [part["name"] for part in ready["parts"] if part["kind"] == "broker"]
    told = {name: tell_broker(ready, name, "INFO replication") for name in names}
    return {name: ("role:master" in text, "master_link_status:up" in text) for name, text in told.items()}


def start_up(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start `reference-gateway up` with files under `folder`."""
    # State and temporary files of the test stay in the test's own folder.
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(folder), "TMPDIR": str(folder)}
    environment.pop("REDIS_URL", None)
    environment.pop("DATABASE_URL", None)
    with (folder / "up.log").open("w") as log:
        return subprocess.Popen([*COMMAND, "up", *arguments], env=environment, stdout=log, stderr=log, text=True)


def wait_ready(process: subprocess.Popen[str], ready_file: Path, seconds: float = 30) -> dict[str, Any]:
    """Return the content of the ready file once it is there."""
    deadline = time.monotonic() + seconds
    while not ready_file.exists():
        log = (ready_file.parent / "up.log").read_text()
        assert process.poll() is None, f"up ended with {process.returncode}:\n{log}"
        assert time.monotonic() < deadline, log
        time.sleep(0.01)
    return dict(json.loads(ready_file.read_text()))


@contextmanager
def running_stack(folder: Path, version: str, nodes: int = 1, *more: str) -> Iterator[RunningStack]:
    """Run a stack around the block; it ends by SIGTERM, and must do so within five seconds."""
    ready_file = folder / "ready.json"
    arguments = ["--version", version, "--nodes", str(nodes), "--ready-file", str(ready_file)]
    process = start_up(folder, *arguments, "--data-dir", str(folder / "data"), *more)
    try:
        yield RunningStack(process, ready_file, wait_ready(process, ready_file), folder)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
