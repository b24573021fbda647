"""The worker's end of the bridge: owns the engine and its herds, obeys the master, reports once a second.

    master --plan, go, publish, canary, follow, afflict, finish--> [WorkerBridge] --schedules--> herds, publishers
    master <--clock, hello, report (1 Hz), published (4 Hz, in rounds 1 Hz)--------/

A worker learns the time, says hello (again and again until it has its plan), and then obeys. It says hello only once it
knows the time: herds are made with that clock.

Law: everything a report carries is an increment since the last one, so that merging is addition; the connection gauge
is the only exception. A report is numbered: the master refuses one it has seen.
"""

from __future__ import annotations

import logging
import os
import resource
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gevent
from locust.env import Environment
from locust.runners import LocalRunner, WorkerRunner

from loadtest import __version__
from loadtest.clock import Clock
from loadtest.errors import LoadtestError, UsageError
from loadtest.herd import sharing
from loadtest.herd.clients import Hooks
from loadtest.herd.herd import Herd
from loadtest.herd.outage import Outage
from loadtest.herd.states import shown
from loadtest.metrics.ledger import Announced
from loadtest.profile.model import Profile
from loadtest.users import descriptor_table, messages
from loadtest.users.afflictor import Afflictor
from loadtest.users.build import Plan
from loadtest.users.canary_order import CanaryOrder
from loadtest.users.engine import Engine
from loadtest.users.herds import Herds
from loadtest.users.publishing import Publishing
from loadtest.users.shipment import Store
from loadtest.users.timekeeper import Timekeeper

logger = logging.getLogger(__name__)

REPORT_S = 1.0
ANNOUNCE_S = 0.25
EARLY_S = ANNOUNCE_S / 2
MOST_WORKERS = 100_000


class WorkerBridge:
    """One per worker process (or per process, in a local run).

    Attributes:
        profile: the master's; None when each user class names its own. connections: of the whole population.
        herds: of this process. vacant: slots that users of a class have left, for the next one.
        ramp_free_ns: when the ramp here is over.
        publish_from_ns: None while publishers are to be quiet. canary: obeys an order of one; None: no publisher here.
        outcome: why this worker gave up, or None.
        time: this process's copy of the master's clock.

    Args:
        remote: the worker was started by hand, on any machine, not by the master: files come with the plan.
        users: what it has to offer, as `muster.Needs.users`.
    """

    def __init__(
        self,
        environment: Environment,
        role: str = "any",
        *,
        remote: bool = False,
        users: Mapping[str, str] | None = None,
    ) -> None:
        runner = environment.runner
        assert isinstance(runner, WorkerRunner | LocalRunner)
        self.environment = environment
        self.profile: Profile | None = None
        self.connections = 0
        self.run = "00000000"
        self.worker = 0
        self.number = 0
        self.of = 1
        self.go_ns: int | None = None
        self.publish_from_ns: int | None = None
        self.canary: Callable[[CanaryOrder], None] | None = None
        self.publishing = Publishing()
        self.role = role
        self.remote = remote
        self._users = dict(users or {})
        self.outcome: LoadtestError | None = None
        self._store = Store()
        self._runner = runner
        self._engine: Engine | None = None
        self.herds = Herds(lambda: self.engine, self._plan)
        self.hooks: dict[type, Hooks] = {}
        self.vacant: dict[type, list[tuple[Herd, range]]] = {}
        self.ramp_free_ns = 0
        self._enlisted = 0
        self._epochs = 0
        self._announcements: list[Announced] = []
        self._outages: dict[str, list[tuple[Herd, Outage]]] = {}
        self._sequence = 0
        self._waiting: list[Callable[[int], None]] = []
        self._final = False
        self._planned = False
        self._in_rounds = sharing.are_many()
        afflictor = Afflictor(
            runner.send_message,
            lambda: self.herds.listening,
            lambda: (self.number, self.of),
            lambda: self.clock,
        )
        handlers = {
            messages.PLAN: self._on_plan,
            messages.GO: self._on_go,
            messages.PUBLISH: self._on_publish,
            messages.CANARY: self._on_canary,
            messages.FOLLOW: self._on_follow,
            messages.UNFOLLOW: self._on_unfollow,
            messages.AFFLICT: afflictor.afflict,
            messages.RELIEVE: afflictor.relieve,
            messages.FINISH: self._on_finish,
        }
        for name, handler in handlers.items():
            runner.register_message(name, _adapt(handler))
        if isinstance(runner, WorkerRunner):
            runner.register_message(messages.PUBLISHED, _adapt(self._on_published))
            runner.register_message(messages.CLOCK, _adapt(self._on_clock))
            runner.register_message(messages.REFUSED, _adapt(self._on_refused))
            self.time = Timekeeper(lambda question: runner.send_message(messages.CLOCK, question))
        else:
            self.time = Timekeeper(None)
        self._greenlets = [gevent.spawn(self._speak)]

    # --- what users ask for ------------------------------------------------------------------------------------------

    @property
    def clock(self) -> Clock:
        """Return the clock of the run, in ns: the master's. Asked for once and kept, it costs as little as it can."""
        return self.time.clock

    @property
    def engine(self) -> Engine:
        """Return this process's engine, made on first use: after the fork."""
        if self._engine is None:
            self._engine = Engine(self.clock)
        return self._engine

    def _plan(self, profile: Profile) -> Plan:
        return Plan(profile, self.run, self.worker, self.of, self.clock)

    def enlist(self, size: int, largest: int = 0) -> range:
        """Return the client indexes of the next herd user on this worker: unique over the run, dense if all spawn.

        Args:
            largest: the largest size of all herd users of the run, when they differ; then there are gaps.
        """
        first = (self._enlisted * self.of + self.number) * max(size, largest)
        self._enlisted += 1
        return range(first, first + size)

    def next_epoch(self) -> int:
        """Return the epoch of the next publisher here: no two publishers of a run share one, on whichever worker."""
        self._epochs += 1
        return self._epochs * MOST_WORKERS + self.worker

    def when_go(self, action: Callable[[int], None]) -> None:
        """Call `action(start_ns)` when the population is to connect: now, if that has been said already."""
        if self.go_ns is not None:
            action(self.go_ns)
        else:
            self._waiting.append(action)

    def announce(self, message: Announced) -> None:
        """Tell everybody of a message that was sent."""
        self.publishing.published += 1
        self.herds.enter(message)
        self._announcements.append(message)

    # --- what the master says ----------------------------------------------------------------------------------------

    def hello(self) -> None:
        """Introduce this worker to the master, once it knows the time; until then ask for that."""
        if not self.time.known:
            self.time.tend()
            return
        who = {"role": self.role, "version": __version__, "pid": os.getpid(), "host": socket.gethostname()}
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        more = {"remote": self.remote, "files": files, "tables": descriptor_table.most(), "users": self._users}
        self._runner.send_message(messages.HELLO, who | more)

    def give_up(self, error: LoadtestError) -> None:
        """End this worker, for a reason that is its exit code too."""
        logger.error("%s", error)
        self.outcome = error
        self.environment.process_exit_code = int(error.exit_code)
        self._runner.greenlet.kill(block=False)

    def _on_clock(self, data: dict[str, Any]) -> None:
        knew = self.time.known
        try:
            self.time.take(data)
        except ValueError as error:
            logger.warning("the master's answer about the time is of no use: %s", error)
        if self.time.known and not knew:
            self.hello()

    def _on_refused(self, data: dict[str, Any]) -> None:
        self.give_up(UsageError(f"the master refused this worker: {data.get('reason')}"))

    def _on_plan(self, data: dict[str, Any]) -> None:
        try:
            self._take_plan(data)
        except (LoadtestError, ValueError) as error:  # another process's words: said, and this worker is lost
            self.give_up(UsageError(f"the master's plan is of no use: {error}"))

    def _take_plan(self, data: dict[str, Any]) -> None:
        self._renew()
        self.run, self.worker = data["run"], data["worker"]
        self.number, self.of = data["herd"], max(1, data["herds"])
        self.connections = data["connections"]
        if data.get("profile"):
            self.profile = (
                self._store.unpack(data["profile"], data["files"])
                if self.remote
                else Profile.model_validate(data["profile"]).placed_in(Path(data["folder"]))
            )

    def _renew(self) -> None:
        """Forget the run before, if there was one: its herds have been released by their users."""
        gevent.killall(self._greenlets, block=False)
        self.herds.close()
        self.hooks.clear()
        self.vacant.clear()
        self._store.close()
        self._outages.clear()
        self._announcements.clear()
        self._waiting.clear()
        self.publishing = Publishing()
        self.go_ns = self.publish_from_ns = self.canary = None
        self._enlisted = self._sequence = self.ramp_free_ns = 0
        self._planned, self._final = True, False
        self._greenlets = [gevent.spawn(self._speak)]

    def _on_go(self, data: dict[str, Any]) -> None:
        self.go_ns = int(data["start_ns"])
        waiting, self._waiting = self._waiting, []
        for action in waiting:
            action(self.go_ns)

    def _on_publish(self, data: dict[str, Any]) -> None:
        self.publish_from_ns = data["start_ns"]

    def _on_canary(self, data: dict[str, Any]) -> None:
        try:
            order = CanaryOrder.read(data)
        except ValueError as error:
            logger.warning("the master's order of a canary is of no use: %s", error)
            return
        if self.canary is not None and self.publish_from_ns is not None:
            self.canary(order)

    def _on_published(self, data: dict[str, Any]) -> None:
        for message in data["messages"]:
            self.herds.enter(Announced(*message))

    def _on_follow(self, data: dict[str, Any]) -> None:
        event_id, t0_ns = data["id"], data["t0_ns"]
        self._outages[event_id] = [(herd, herd.outages.follow(event_id, t0_ns)) for herd in self.herds.listening]
        for herd in self.herds.listening:
            herd.witnesses.follow(event_id, t0_ns)

    def _on_unfollow(self, data: dict[str, Any]) -> None:
        for herd, outage in self._outages.pop(data["id"], ()):
            herd.outages.unfollow(outage)

    def _on_finish(self, _: dict[str, Any]) -> None:
        self._final = True
        self._send_announcements()
        self.report()

    # --- what the worker says ----------------------------------------------------------------------------------------

    def _speak(self) -> None:
        """Say what there is to say, in one go: where many share a core, each time that a worker wakes is dear."""
        report_at_s = time.monotonic() + REPORT_S
        while not self._final:
            gevent.sleep(REPORT_S if self._planned and self._in_rounds else ANNOUNCE_S)
            self._send_announcements()
            self.time.tend()
            if not self._planned:
                self.hello()  # again: the master may not have been listening yet
            if self.herds and not self._final and time.monotonic() >= report_at_s - EARLY_S:
                report_at_s = max(report_at_s + REPORT_S, time.monotonic())
                self.report()

    def _send_announcements(self) -> None:
        if self._announcements:
            sent, self._announcements = self._announcements, []
            self._runner.send_message(messages.PUBLISHED, {"messages": [list(message) for message in sent]})

    def report(self) -> None:
        """Send the interval since the last report.

        Keys: `worker`, `seq`, `t_ns`, `final`, `herds` (one entry per herd: `connections` gauge, `account`, `ledger`
        or None), `publishing`, `outages` ({event id: curve increments}), `others` ([event id, part] of each event
        whose windows have passed), `generator`, `clock_error_ns`, `clock_offset_ns`.
        """
        now = self.clock()
        herds = []
        for herd in self.herds:
            if herd.ledger is not None:
                herd.ledger.close(now)
            herds.append(
                {
                    "connections": shown(herd.slots.population),
                    "account": herd.account.take(),
                    "ledger": herd.ledger.take() if herd.ledger is not None else None,
                }
            )
        publishing, self.publishing = self.publishing, Publishing()
        outages = {
            event_id: [outage.curve.take() for _, outage in followed if outage.curve.pending]
            for event_id, followed in self._outages.items()
        }
        self._sequence += 1
        report = {
            "worker": self.worker,
            "seq": self._sequence,
            "t_ns": now,
            "final": self._final,
            "herds": herds,
            "publishing": publishing.to_wire(),
            "outages": {event_id: curves for event_id, curves in outages.items() if curves},
            "others": [told for herd in self.herds.listening for told in herd.witnesses.take(now, final=self._final)],
            "generator": self.engine.take(),
            "clock_error_ns": self.time.error_ns,
            "clock_offset_ns": self.time.offset_ns,
        }
        self._runner.send_message(messages.REPORT, report)

    def stop(self) -> None:
        """Give up the engine; used at the end of the process."""
        gevent.killall(self._greenlets)
        if self._engine is not None:
            self._engine.stop()
        self._store.close()


def _adapt(handler: Callable[[dict[str, Any]], None]) -> Callable[..., None]:
    """Turn a handler of a message's data into what Locust calls."""

    def listener(environment: Environment, msg: Any, **_: Any) -> None:  # noqa: ARG001 - Locust's signature
        handler(msg.data or {})

    return listener
