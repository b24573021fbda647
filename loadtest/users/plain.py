"""`locust -f`: the harness as a guest in an ordinary Locust run, headless or with its web UI.

    events.init        bridges on master and workers            events.test_start     run folder, books, plan, go
    every second       interval line, Locust's own table        events.test_stopping  last reports, run.json, report

Law: Locust leads. `-u` counts herds, `-t` ends the run, workers come and go as Locust says; what is recorded is what
`loadtest run` records. There are no phases: everything is "hold".
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, cast

import gevent
from locust import events
from locust.env import Environment
from locust.runners import LocalRunner, MasterRunner, WorkerRunner

from loadtest.clock import NS_PER_S, now_ns
from loadtest.metrics import thresholds
from loadtest.pacing.phases import Phase
from loadtest.results.folder import RunFolder
from loadtest.results.summary import exit_code
from loadtest.users.attach import load_for, make_bridge
from loadtest.users.dispatcher import PinnedDispatcher
from loadtest.users.herd_user import HerdUser
from loadtest.users.locust_stats import feed
from loadtest.users.master_bridge import MasterBridge
from loadtest.users.recorder import Recorder

logger = logging.getLogger(__name__)
LINE_S = 1.0
HELLO_S = 5.0


class _ToLog:
    """An observer that writes marks and happenings to Locust's log."""

    def feed(self, line: Mapping[str, Any]) -> None:
        for text in line["log"]:
            logger.info("%s", text)

    def mark(self, mark: Mapping[str, Any]) -> None:
        logger.info("%s (%s) at %.1f s %s", mark["mark"], mark["kind"], mark["t_s"], mark["text"])


class PlainRun:
    """One Locust process that leads: the master, or a run without workers."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._bridge = MasterBridge(environment)
        self._recorder: Recorder | None = None
        self._pulse: gevent.Greenlet | None = None
        environment.dispatcher_class = cast(Any, self._dispatcher)
        events: Any = environment.events  # Locust's hooks are untyped
        events.test_start.add_listener(self._start)
        events.test_stopping.add_listener(self._stop)

    def _dispatcher(self, worker_nodes: list[Any], user_classes: list[type]) -> PinnedDispatcher:
        return PinnedDispatcher(worker_nodes, user_classes, self._bridge.role_of)

    def _start(self, environment: Environment, **_: Any) -> None:
        """Open the record; runs before Locust spawns anybody."""
        runner = environment.runner
        assert isinstance(runner, MasterRunner | LocalRunner)
        herds = [user for user in environment.user_classes if issubclass(user, HerdUser)]
        if not herds:
            return
        sizes = [user.connections or load_for(environment, user.profile).population.herd_size for user in herds]
        users = max(1, runner.target_user_count - sum(user.fixed_count for user in environment.user_classes))
        connections = round(users * sum(sizes) / len(sizes))
        profile = load_for(environment, herds[0].profile, connections)
        self._bridge.renew()
        folder = RunFolder.create("runs", profile.name)
        folder.write_profile(profile.to_toml(redact=True))
        recorder = self._recorder = Recorder(
            self._bridge, profile, folder, _ToLog(), [thresholds.parse(text) for text in profile.thresholds], {}
        )
        wanted = runner.worker_count if isinstance(runner, MasterRunner) else 1
        deadline_ns = now_ns() + round(HELLO_S * NS_PER_S)
        while self._bridge.count() < wanted and now_ns() < deadline_ns:
            gevent.sleep(0.02)
        self._bridge.send_plan(None, connections)
        recorder.begin()
        recorder.verdict.hold_from_ns = now_ns()
        recorder.start_publishing()
        recorder.mark(0.0, str(Phase.HOLD), "phase")
        self._pulse = gevent.spawn(self._beat, recorder)

    def _beat(self, recorder: Recorder) -> None:
        stats = self._environment.stats
        while True:
            gevent.sleep(LINE_S)
            for info in recorder.bridge.silent_workers():
                recorder.lose(info, "its heartbeat stopped")
            interval = recorder.books.interval
            feed(stats, "connect", interval.histograms["connect"], interval.failures)
            feed(stats, "subscribe", interval.histograms["subscribe"])
            feed(stats, "fan-out", interval.fanout)
            recorder.write_line(str(Phase.HOLD))

    def _stop(self, environment: Environment, **_: Any) -> None:
        recorder, self._recorder = self._recorder, None
        if recorder is None:
            return
        if self._pulse is not None:
            self._pulse.kill()
            self._pulse = None
        run = recorder.finish(str(Phase.HOLD))
        recorder.folder.close()
        if environment.process_exit_code is None:
            environment.process_exit_code = int(exit_code(run))
        logger.info("%s: %s; loadtest report %s", run["verdict"], "; ".join(run["reasons"]), recorder.folder.path)


def attach() -> None:
    """Register with Locust; call it once in a locustfile (importing `loadtest.locustfile` does)."""

    @events.init.add_listener  # type: ignore[untyped-decorator]  # Locust's
    def on_init(environment: Environment, runner: Any, **_: Any) -> None:
        if isinstance(runner, MasterRunner | LocalRunner):
            PlainRun(environment)
        if isinstance(runner, WorkerRunner | LocalRunner):
            make_bridge(environment)
