"""The Python side of a benchmark: one herd in a process of its own, obeying lines on stdin as c/client.c does.

    python worker.py '{"port": 1234, "channel": 0, "sources": ["127.1.1.1"], "books": true, "loop": "plain"}'

    connect <n> <per second> <in flight at most>  -> connected <live> <failures>
    quiet <ms>                                    -> quiet <messages in the books since the start, -1 without books>
    close                                         -> closed <n>
    announce <epoch> <seq> <start_ns> <pace_ns> <k>   no answer: what the bridge tells of published messages
    account                                       -> account <JSON of Engine.take(), lag p99 in ms>     (loop gevent)

`loop`: "plain" waits on a bare epoll, "gevent" is the Engine of production. `books` false: the same hot loop, but
nothing is entered anywhere. The ledger closes twice a second, accounts are taken once a second, as in production.
Law: run as a file, so that `loadtest` is found where PYTHONPATH says: a changed copy can be measured beside ours.
"""

from __future__ import annotations

import gc
import json
import os
import select
import sys
from typing import Any

from loadtest.clock import NS_PER_MS, NS_PER_S, now_ns
from loadtest.herd.herd import Herd
from loadtest.herd.interner import Parcel
from loadtest.herd.poller import Poller
from loadtest.metrics.histogram import Histogram
from loadtest.metrics.ledger import Announced
from loadtest.profile.model import Profile
from loadtest.protocol.events import Delivered
from loadtest.users.build import Plan, make_herd

TICK_S = 0.01
CLOSE_NS = NS_PER_S // 2
REPORT_NS = NS_PER_S
ANNOUNCED_AFTER_NS = NS_PER_S // 8
GC_THRESHOLDS = 50_000, 20, 50
"""As loadtest.users.engine sets them."""


def profile(port: int, channel: int, in_flight: int) -> Profile:
    """Return what a person would write for the C server."""
    return Profile.model_validate(
        {
            "name": "bench",
            "duration": "60s",
            "target": {"url": f"ws://127.0.0.1:{port}/socket.io/"},
            "client": {"auth": {"client": "{client}"}},
            "population": {"connections": 100_000, "channels": [{"name": f"c-{channel}", "count": 1}]},
            "subscribe": {
                "event": "subscribe",
                "args": [{"collection": "{channel}"}],
                "ack": True,
                "ack_path": "0.ok",
                "ack_equals": True,
            },
            "publish": {"rate": "20/s", "event": "edit", "args": ["{marker}"], "marker": "1.text", "deadline": "60s"},
            "ramp": {"rate": "1000/s", "max_in_flight": in_flight},
            "reconnect": {"policy": "none"},
        }
    )


class Worker:
    """One herd and the commands it obeys. `step` is to be called every TICK_S."""

    def __init__(self, options: dict[str, Any], poller: Poller) -> None:
        given = profile(options["port"], options["channel"], options["in_flight"])
        self.herd: Herd = make_herd(Plan(given, options["run"]), poller, listening=True, connections=1)
        self.herd._sources._addresses = tuple(options["sources"])
        self.give_turn = self.herd.turn
        self.books = options["books"]
        if not self.books:
            self._forget_messages()
        self._received = 0
        self._announcements: list[Announced] = []
        self._wanted = 0
        self._quiet_ns = 0
        self._heard_ns = 0
        self._closed_ns = self._reported_ns = now_ns()

    def _forget_messages(self) -> None:
        """Let the hot loop find nothing to enter: what remains is reading, looking up and a time stamp."""
        interner = self.herd._listener.interner
        read = interner._read

        def without_messages(chunk: bytes) -> Parcel | None:
            parcel = read(chunk)
            if parcel is not None and all(type(event) is Delivered for event in parcel.events):
                parcel.events = ()
            return parcel

        interner._read = without_messages  # type: ignore[method-assign]

    def obey(self, line: str) -> None:
        """Do what a line says; answers come from here or from `step`."""
        word, *numbers = line.split()
        if word == "connect":
            wanted, per_s, _ = map(int, numbers)
            now = now_ns()
            idle = [slot for slot in range(len(self.herd)) if not self.herd.is_live(slot)]
            missing = wanted - len(idle)
            if missing > 0:
                first = len(self.herd)
                idle.extend(self.herd.add(range(first, first + missing)))
            for number, slot in enumerate(idle[:wanted]):
                self.herd.schedule(slot, now + number * NS_PER_S // per_s)
            self._wanted = wanted
        elif word == "quiet":
            self._quiet_ns, self._heard_ns = int(numbers[0]) * NS_PER_MS, now_ns()
        elif word == "close":
            answer(f"closed {self.herd.drop(range(len(self.herd)), reset=True)}")
        elif word == "announce":
            epoch, seq, start_ns, pace_ns, count = map(int, numbers)
            self._announcements = [
                Announced(0, epoch, seq + i, start_ns + i * pace_ns, 0) for i in reversed(range(count))
            ]

    def turn(self) -> int:
        """Give the herd a turn; return the number of events."""
        ready = self.give_turn()
        self._heard_ns = 0
        return ready

    def step(self) -> None:
        """Do what is due by the clock, as the engine and the bridge do."""
        ledger = self.herd.ledger
        assert ledger is not None
        now = now_ns()
        while self._announcements and self._announcements[-1].sched_ns < now - ANNOUNCED_AFTER_NS:
            ledger.announce(self._announcements.pop())
        if now - self._closed_ns > CLOSE_NS:
            self._closed_ns = now
            ledger.close(now)
        if now - self._reported_ns > REPORT_NS:
            self._reported_ns = now
            self._report()
        population = self.herd.slots.population
        if self._wanted and not population[1] and not self.herd.slots.in_flight:
            self._wanted = 0
            failures = self.herd.account.failures
            if failures:
                raise RuntimeError(f"connections failed: {dict(failures)}")
            answer(f"connected {population[-1]} 0")
        if self._quiet_ns:
            self._heard_ns = self._heard_ns or now
            if now - self._heard_ns > self._quiet_ns and not self._announcements:
                self._quiet_ns = 0
                ledger.close(now)
                self._report()
                answer(f"quiet {self._received if self.books else -1}")

    def _report(self) -> None:
        assert self.herd.ledger is not None
        account = self.herd.account.take()
        failures = account["failures"]
        if failures:
            raise RuntimeError(f"connections failed: {failures}")
        self._received += Histogram.from_wire(self.herd.ledger.take()["fanout"]).count


def answer(line: str) -> None:
    """Say one line to the parent."""
    os.write(1, line.encode() + b"\n")


class Commands:
    """Lines from stdin, without losing a second line that came with the first."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._rest = b""

    def read(self) -> None:
        """Obey what has come; end of file ends the process."""
        data = os.read(0, 4096)
        if not data:
            os._exit(0)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._worker.obey(line.decode())


def serve_plain(options: dict[str, Any]) -> None:
    """Run on a bare epoll that nests the herd's."""
    gc.set_threshold(*GC_THRESHOLDS)
    inner, outer = select.epoll(), select.epoll()
    worker = Worker(options, inner)
    commands = Commands(worker)
    outer.register(0, select.EPOLLIN)
    outer.register(inner.fileno(), select.EPOLLIN)
    answer("ready")
    due = now_ns()
    herd_fd = inner.fileno()
    while True:
        for fd, _ in outer.poll(max(0.0, (due - now_ns()) / NS_PER_S)):
            if fd == herd_fd:
                worker.turn()
            else:
                commands.read()
        if now_ns() >= due:
            due = now_ns() + round(TICK_S * NS_PER_S)
            while worker.herd.tick():
                worker.turn()
            worker.step()


def serve_gevent(options: dict[str, Any]) -> None:
    """Run in the Engine of production."""
    import gevent

    from loadtest.users.engine import Engine, new_poller

    worker = Worker(options, new_poller())
    commands = Commands(worker)
    engine = Engine()
    worker.herd.turn, turn = worker.turn, worker.herd.turn  # type: ignore[method-assign]
    worker.give_turn = turn
    engine.add(worker.herd)
    obey = worker.obey

    def with_account(line: str) -> None:
        if line == "account":
            taken = engine.take()
            lag = Histogram.from_wire(taken.pop("lag"))
            lag_p99_ms = (lag.percentile_ns(99) or 0) / NS_PER_MS
            answer("account " + json.dumps({"cpu_percent": taken["cpu_percent"], "lag_p99_ms": lag_p99_ms}))
        else:
            obey(line)

    worker.obey = with_account  # type: ignore[method-assign]
    loop = gevent.get_hub().loop
    lines = loop.io(0, 1)
    lines.start(commands.read)
    answer("ready")
    while True:
        gevent.sleep(TICK_S)
        worker.step()


if __name__ == "__main__":
    chosen = json.loads(sys.argv[1])
    (serve_gevent if chosen["loop"] == "gevent" else serve_plain)(chosen)
