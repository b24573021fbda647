"""The processes of a benchmark: compiled once, started with pipes, ended by closing their stdin (then by pid).

Server (C) <==sockets==> Client (C or Python): each obeys lines and answers lines
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from loadtest.clock import NS_PER_S, now_ns
from tests.bench import measure

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
RUN = "0badcafe"
IN_FLIGHT = 256
SOURCES = 4
"""Source addresses per client: 4 pairs of (source, destination) carry 20,000 connections with room to spare."""


PATIENCE = 100
"""How many silences of 50 ms may pass before messages count as missing."""


class Unavailable(Exception):  # noqa: N818 - not a fault: this machine cannot do it, and the reason is the message
    """The benchmark cannot run here."""


def compiled(name: str) -> Path:
    """Return the program c/<name>.c, compiled into a cache outside the project, by content.

    Raises:
        Unavailable: no C compiler.
    """
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise Unavailable("no C compiler (cc) here: what is compared with C cannot be measured")
    sources = [(HERE / "c" / part).read_bytes() for part in (f"{name}.c", "wire.h")]
    digest = hashlib.sha256(b"".join(sources)).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"loadtest-bench-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise Unavailable(f"{folder} belongs to somebody else")
    program = folder / f"{name}-{digest}"
    if not program.exists():
        fresh = folder / f"{name}-{digest}.{os.getpid()}"
        subprocess.run([compiler, "-O2", "-o", str(fresh), str(HERE / "c" / f"{name}.c")], check=True)
        fresh.rename(program)
    return program


class Program:
    """A child that reads lines and answers lines."""

    def __init__(self, command: Sequence[str], env: dict[str, str] | None = None) -> None:
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        try:
            self.greeting = self.hear("ready")
        except BaseException:
            self.__exit__()
            raise

    @property
    def pid(self) -> int:
        """Process id."""
        return self._child.pid

    def say(self, line: str) -> None:
        """Send a command."""
        assert self._child.stdin is not None
        self._child.stdin.write(line + "\n")
        self._child.stdin.flush()

    def hear(self, word: str) -> list[str]:
        """Wait for the answer that begins with `word`; return its other words.

        Raises:
            RuntimeError: the child said something else, or died.
        """
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line.startswith(word):
            raise RuntimeError(f"{self._child.args!r}: expected {word!r}, heard {line!r}")
        return line[len(word) :].split()

    def ask(self, line: str, word: str) -> list[str]:
        """Send a command and wait for its answer."""
        self.say(line)
        return self.hear(word)

    def cpu_ns(self) -> int:
        """Return the CPU time used so far."""
        return measure.cpu_ns(self.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.close()
        try:
            self._child.wait(10)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._child.stdout.close()


class Server(Program):
    """The C target."""

    def __init__(self) -> None:
        super().__init__([str(compiled("server"))])
        self.port = int(self.greeting[0])

    def live(self) -> int:
        """Return how many clients are subscribed.

        Raises:
            RuntimeError: a client said something the server did not understand.
        """
        _, live, odd = map(int, self.ask("count", "count"))
        if odd:
            raise RuntimeError(f"the server could not make sense of {odd} requests")
        return live


class Client(Program):
    """What is measured. `number` chooses its channel on the server and its source addresses."""

    def __init__(self, name: str, number: int, command: Sequence[str], env: dict[str, str] | None = None) -> None:
        self.name = name
        self.channel = number
        self.epoch = 0
        super().__init__(command, env)

    def connect(self, count: int, per_s: int = 6_000) -> None:
        """Open `count` more sessions.

        Raises:
            RuntimeError: not all of them stand.
        """
        live, failures = map(int, self.ask(f"connect {count} {per_s} {IN_FLIGHT}", "connected"))
        if failures or live < count:
            raise RuntimeError(f"{self.name}: {live} of {count} connected, {failures} failed")

    def close(self) -> None:
        """Reset every connection (no TIME_WAIT stays behind)."""
        self.ask("close", "closed")

    def quiet(self) -> int:
        """Wait until nothing has come for 50 ms; return how many messages were received since the start."""
        return int(self.ask("quiet 50", "quiet")[0])


def sources(number: int) -> list[str]:
    """Return the source addresses of client `number`: no two clients share one."""
    return [f"127.1.{number + 1}.{i + 1}" for i in range(SOURCES)]


def c_client(server: Server, number: int) -> Client:
    """Return the lower bound."""
    return Client("C", number, [str(compiled("client")), str(server.port), str(number), *sources(number)])


def herd(
    server: Server, number: int, name: str = "herd", *, books: bool = True, loop: str = "plain", tree: Path = ROOT
) -> Client:
    """Return a herd in its own process. `tree`: the folder that holds the `loadtest` to run."""
    options = {
        "port": server.port,
        "channel": number,
        "sources": sources(number),
        "books": books,
        "loop": loop,
        "run": RUN,
        "in_flight": IN_FLIGHT,
    }
    env = os.environ | {"PYTHONPATH": str(tree)}
    return Client(name, number, [sys.executable, str(HERE / "worker.py"), json.dumps(options)], env)


class Crowd:
    """Several clients (and servers) as one: leaves them all ended, whatever happens."""

    def __init__(self, members: Sequence[Program]) -> None:
        self.members = members

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for member in self.members:
            member.__exit__(kind, error, trace)


def broadcast(pairs: Sequence[tuple[Server, Client]], count: int, pace_s: float, vary: int = 0) -> int:
    """Let every server send `count` messages to its client; wait until all is read; return the messages sent.

    Raises:
        RuntimeError: fewer or more came than were sent.
    """
    start_ns, pace_ns = now_ns() + NS_PER_S // 20, round(pace_s * NS_PER_S)
    before = [client.quiet() for _, client in pairs]
    for server, client in pairs:
        client.epoch += 1
        if client.name != "C":
            client.say(f"announce {client.epoch} 0 {start_ns} {pace_ns} {count}")
        server.say(f"broadcast {client.channel} {RUN} {client.epoch} 0 {start_ns} {pace_ns} {count} {vary}")
    sent = [int(server.hear("done")[0]) for server, _ in pairs]
    for (_, client), was, due in zip(pairs, before, sent, strict=True):
        tries = PATIENCE
        while 0 <= (now := client.quiet()) != was + due and tries:
            tries -= 1  # a busy machine delivers late
        if 0 <= now != was + due:
            raise RuntimeError(f"{client.name}: {due} messages were sent, {now - was} came")
    return sum(sent)
