"""The reference stack as a child of a run: started, waited for, read, ended.

    ReferenceStack.start --fork+exec--> reference-gateway up ... --ready-file F      (a process of its own: the harness
    wait_ready  <------------- F: schema reference_gateway.ready/1 -------------/     never imports the stack)

Law: the stack dies with us twice over: we tie it to our life, and it ties itself and its parts (`--die-with-parent`).
SIGTERM lets it end its parts in order.
"""

from __future__ import annotations

import importlib.util
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loadtest.clock import NS_PER_S, now_ns
from loadtest.errors import ExitCode, TargetUnreachableError, UsageError
from loadtest.launch.children import POLL_S, Child, Children, Exit, describe_status, last_lines, start_child

SCHEMA = "reference_gateway.ready/1"
PACKAGE = "reference_gateway"
SOME_VERSIONS = ("sync", "bifrost-1")
"""Offered where the stack itself cannot be asked."""
EXTRA = "pip install 'gateway-loadtest[reference]'"


@dataclass(frozen=True)
class Ready:
    """What the stack says once all its parts are healthy.

    `control_token` opens the control address: keep it out of logs and results. `parts` are (name, kind, pid, url);
    a part without a process, such as the database file, has no pid. `faults`: the kinds of faults that each part can
    have; `deploys`: the strategies by which each tier can be deployed.
    """

    version: str
    pid: int
    bootstrap_url: str
    gateway_urls: tuple[str, ...]
    control_url: str
    control_token: str = field(repr=False)
    parts: tuple[tuple[str, str, int | None, str | None], ...]
    faults: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    deploys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Ready | None:
        """Read the ready file; None while it is not whole.

        Raises:
            UsageError: the file is of another schema: the installed stack does not fit this harness.
        """
        try:
            found: dict[str, Any] = json.loads(text)
        except ValueError:
            return None
        try:
            if found["schema"] != SCHEMA:
                raise UsageError(f"the reference stack speaks {found['schema']!r}, this harness {SCHEMA!r}; {EXTRA}")
            return cls(
                version=found["version"],
                pid=found["pid"],
                bootstrap_url=found["bootstrap_url"],
                gateway_urls=tuple(found["gateway_urls"]),
                control_url=found["control"]["url"],
                control_token=found["control"]["token"],
                parts=tuple((part["name"], part["kind"], part.get("pid"), part.get("url")) for part in found["parts"]),
                faults={part["name"]: tuple(part.get("faults", ())) for part in found["parts"]},
                deploys={tier: tuple(known) for tier, known in found["control"].get("deploys", {}).items()},
            )
        except (KeyError, TypeError) as error:
            raise UsageError(f"the ready file of the reference stack is not {SCHEMA}: {error!r} is wrong") from error


class ReferenceStack:
    """One running stack; give `child` to the run's `Children`, or call `stop`."""

    def __init__(self, child: Child, ready_path: Path) -> None:
        self.child = child
        self.ready: Ready | None = None
        self._ready_path = ready_path

    @classmethod
    def start(
        cls, *, version: str, nodes: int, log_dir: Path, more: Sequence[str] = (), command: Sequence[str] | None = None
    ) -> ReferenceStack:
        """Start the stack without waiting for it.

        Args:
            log_dir: its log becomes stack.log there, the logs of its parts lie in stack/.
            more: further flags of `reference-gateway up`.
            command: what to run in place of `reference-gateway`; None is the installed package.

        Raises:
            UsageError: the package is not installed, with the line that installs it.
        """
        if command is None:
            if importlib.util.find_spec(PACKAGE) is None:  # finds a top-level package without importing it
                raise UsageError(f"the profile asks for the reference stack, which is not installed; {EXTRA}")
            command = [sys.executable, "-m", f"{PACKAGE}.cli"]
        ready_path = log_dir / "stack.json"
        ready_path.unlink(missing_ok=True)
        argv = [*command, "up", "--version", version, "--nodes", str(nodes), "--ready-file", str(ready_path)]
        argv += ["--log-dir", str(log_dir / "stack"), "--die-with-parent", *more]
        child = start_child("stack", argv, log_path=log_dir / "stack.log", death_signal=signal.SIGTERM)
        return cls(child, ready_path)

    def wait_ready(self, timeout_s: float = 30.0) -> Ready:
        """Wait until all parts are healthy; on failure the stack is ended before the error is raised.

        Raises:
            UsageError: it refused its arguments (an unknown version) or lacks a package.
            TargetUnreachableError: it ended early or was not ready in time. Each with its last log lines.
        """
        deadline_ns = now_ns() + round(timeout_s * NS_PER_S)
        while True:
            status = self.child.poll()
            ready = self._read()
            if status is None and ready is not None:
                self.ready = ready
                return ready
            if status is not None or now_ns() > deadline_ns:
                self.stop()
                raise self._failure(status, timeout_s)
            time.sleep(POLL_S)

    def stop(self, timeout_s: float = 8.0) -> Exit:
        """End the stack and all its parts, the hard way after `timeout_s`; harmless when it has ended."""
        only = Children()
        only.add(self.child)
        (end,) = only.stop(timeout_s)
        self._ready_path.unlink(missing_ok=True)  # it names a token and addresses of nobody
        return end

    def _read(self) -> Ready | None:
        try:
            return Ready.parse(self._ready_path.read_text())
        except FileNotFoundError:
            return None

    def _failure(self, status: int | None, timeout_s: float) -> UsageError | TargetUnreachableError:
        lines = last_lines(self.child.log_path, 15)
        how = f"was not ready after {timeout_s:g} s" if status is None else f"ended with {describe_status(status)}"
        text = f"the reference stack {how}" + "".join(f"\n    {line}" for line in lines)
        if any("ModuleNotFoundError" in line for line in lines):
            return UsageError(f"{text}\nits packages are missing; {EXTRA}")
        return UsageError(text) if status == ExitCode.USAGE else TargetUnreachableError(text)


def known_versions() -> list[str]:
    """Return the versions of the reference stack, as its own command lists them."""
    argv = [sys.executable, "-m", f"{PACKAGE}.cli", "versions"]
    try:
        said = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        said = ""
    return list(dict.fromkeys(re.findall(r"^\W*(sync|bifrost-\d+)\b", said, re.MULTILINE))) or list(SOME_VERSIONS)
