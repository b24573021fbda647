"""`locust -f`: the harness as a guest in an ordinary Locust run, headless or with its web UI.

    events.init        bridges; profiles checked               events.test_start     run folder, books, plan, go
    every second       interval line, Locust's own table       events.test_stopping, quitting  last reports, run.json

Laws: Locust leads. `-u` counts users (herds and publishers), `-t` ends the run, workers come and go as Locust says;
what is recorded is what `loadtest run` records. Everything is "hold", until Locust stops the test: then the last
messages are given their time to arrive ("drain"), and only after that the users go. What cannot run is refused in one
sentence, with the exit code of `loadtest run`: at once if Locust is headless, else when the test is started.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast

import gevent
from locust import User, events, runners
from locust.env import Environment
from locust.runners import STATE_RUNNING, STATE_SPAWNING, LocalRunner, MasterRunner, WorkerRunner

from loadtest.clock import NS_PER_S, now_ns
from loadtest.errors import ExitCode, LoadtestError, ResultsError, UsageError
from loadtest.metrics import thresholds
from loadtest.pacing.phases import Phase
from loadtest.results.folder import RunFolder
from loadtest.results.summary import exit_code
from loadtest.users.attach import load_for, make_bridge
from loadtest.users.dispatcher import Dealer, dealt
from loadtest.users.herd_user import HerdUser, herd_size
from loadtest.users.locust_stats import METHOD, feed_interval
from loadtest.users.master_bridge import MasterBridge
from loadtest.users.muster import Needs, users_of
from loadtest.users.publisher_user import PublisherUser
from loadtest.users.recorder import Observer, Recorder
from loadtest.users.reporting import report_path
from loadtest.users.striker import Striker

logger = logging.getLogger(__name__)
LINE_S = 1.0
HELLO_S = 5.0
LOOPBACK = "127.0.0.1"
_show: Callable[[Environment, str], Onlooker] | None = None
_attached_by = 0
"""The process that loaded the locustfile: the master, of workers that are forked."""
HEARTBEAT_LIVENESS = 10
"""Heartbeats (one a second) a worker may miss: a busy one is not dead, and Locust's three are soon missed."""


class Onlooker(Observer, Protocol):
    """Who watches every run of a Locust process, such as the web UI's pages."""

    def attend(self, recorder: Recorder, striker: Striker) -> None:
        """Take the record of a run that begins, and what strikes with faults by hand."""

    def leave(self, run: Mapping[str, Any]) -> None:
        """Take run.json: the run is over."""


class _ToLog:
    """An observer that writes marks and happenings to Locust's log, and passes all on to an onlooker."""

    def __init__(self, onlooker: Onlooker | None) -> None:
        self._onlooker = onlooker

    def feed(self, line: Mapping[str, Any]) -> None:
        for text in line["log"]:
            logger.info("%s", text)
        if self._onlooker is not None:
            self._onlooker.feed(line)

    def mark(self, mark: Mapping[str, Any]) -> None:
        logger.info("%s (%s) at %.1f s %s", mark["mark"], mark["kind"], mark["t_s"], mark["text"])
        if self._onlooker is not None:
            self._onlooker.mark(mark)


class PlainRun:
    """One Locust process that leads: the master, or a run without workers."""

    def __init__(self, environment: Environment, out: str = "runs", onlooker: Onlooker | None = None) -> None:
        runner = environment.runner
        assert isinstance(runner, MasterRunner | LocalRunner)
        self._environment = environment
        self._runner = runner
        self._out = out
        self._bridge = MasterBridge(environment)
        self._onlooker = onlooker
        self._recorder: Recorder | None = None
        self._striker: Striker | None = None
        self._pulse: gevent.Greenlet | None = None
        self._phase = Phase.HOLD
        self._dealer = Dealer(self._bridge.role_of, lambda: runner.state in (STATE_RUNNING, STATE_SPAWNING))
        environment.dispatcher_class = cast(Any, self._dealer)
        hooks: Any = environment.events  # Locust's hooks are untyped
        hooks.test_start.add_listener(self._start)
        hooks.spawning_complete.add_listener(self._spawned)
        hooks.test_stopping.add_listener(self._stop)
        hooks.quitting.add_listener(self._stop)  # Locust settles the exit code before it stops the test

    # --- may it run? -------------------------------------------------------------------------------------------------

    def check(self, users: int | None) -> None:
        """Look at the profiles of all user classes before anything starts.

        Args:
            users: `-u` of a headless run; None when the web UI or a shape will say.

        Raises:
            UsageError: a profile is missing or wrong, the classes' channels differ, nobody would listen.
        """
        herds, kinds = self._herds(), self._kinds()
        if not kinds:
            return
        if not herds:
            raise UsageError(f"{kinds[0].__name__} would publish to nobody: the locustfile has no HerdUser")
        profiles = {kind: load_for(self._environment, kind, aimed=users is not None) for kind in kinds}
        for kind in kinds:
            if profiles[kind].channel_names != profiles[herds[0]].channel_names:
                raise UsageError(
                    f"{herds[0].__name__} and {kind.__name__} have profiles with different channels;"
                    " users of one run share them"
                )
        if self._recorder is None and not self._bridge.needs.users:  # before a form chooses another profile for all
            self._bridge.needs = Needs(users_of(self._environment.user_classes))
        if users is not None and not self._connections(users):
            raise UsageError(self._nobody(users))

    def _kinds(self) -> list[type[User]]:
        return [kind for kind in self._environment.user_classes if issubclass(kind, HerdUser | PublisherUser)]

    def _herds(self) -> list[type[HerdUser]]:
        return [kind for kind in self._environment.user_classes if issubclass(kind, HerdUser)]

    def _connections(self, users: int) -> int:
        """Return how many connections `-u users` makes."""
        return self._held_by(dealt(self._environment.user_classes, users))

    def _held_by(self, counts: Mapping[str, int]) -> int:
        sizes = {kind.__name__: herd_size(kind, load_for(self._environment, kind)) for kind in self._herds()}
        return sum(counts.get(name, 0) * size for name, size in sizes.items())

    def _nobody(self, users: int) -> str:
        fixed = sum(kind.fixed_count for kind in self._environment.user_classes)
        names = ", ".join(kind.__name__ for kind in self._environment.user_classes if kind.fixed_count)
        return f"-u {users} leaves nobody to listen, since {names} comes first: give -u {fixed + 1} or more"

    # --- the run -----------------------------------------------------------------------------------------------------

    def _start(self, environment: Environment, **_: Any) -> None:
        """Open the record; runs before Locust spawns anybody."""
        self._dealer.refused = False
        try:
            self._open()
        except LoadtestError as error:
            logger.error("%s", error)
            self._dealer.refused = True
            self._leave(error.exit_code)
            options = environment.parsed_options
            headless = options is not None and options.headless
            gevent.spawn(self._runner.quit if headless else self._runner.stop)

    def _open(self) -> None:
        herds = self._herds()
        if not self._kinds():
            return
        users = self._runner.target_user_count
        self.check(None if self._environment.shape_class else users)
        connections = self._connections(users)
        profile = load_for(self._environment, herds[0], max(1, connections))
        self._bridge.renew()
        recorder = self._recorder = Recorder(
            self._bridge,
            profile,
            RunFolder.create(self._out, profile.name),
            _ToLog(self._onlooker),
            [thresholds.parse(text) for text in profile.thresholds],
            {},
        )
        recorder.folder.write_profile(profile.to_toml(redact=True))
        striker = self._striker = Striker(recorder, {}, None)
        self._gather()
        if self._recorder is not recorder:
            return  # stopped meanwhile
        recorder.write_manifest(self._bridge.count())
        self._bridge.send_plan(None, profile.population.connections)
        recorder.begin()
        if self._onlooker is not None:
            self._onlooker.attend(recorder, striker)
        recorder.verdict.hold_from_ns = now_ns()
        recorder.start_publishing()
        self._phase = Phase.HOLD
        recorder.mark(0.0, str(Phase.HOLD), "phase")
        self._pulse = gevent.spawn(self._beat, recorder)

    def _gather(self) -> None:
        """Wait for all workers to introduce themselves."""
        wanted = self._runner.worker_count
        deadline_ns = now_ns() + round(HELLO_S * NS_PER_S)
        while self._bridge.count() < wanted and now_ns() < deadline_ns:
            gevent.sleep(0.02)
        if self._bridge.count() < wanted:
            logger.warning(
                "%d of %d workers did not introduce themselves and get no users: does their locustfile call attach()?",
                wanted - self._bridge.count(),
                wanted,
            )

    def _spawned(self, **_: Any) -> None:
        """Locust has dealt all users: from now on this many connections are wanted."""
        if self._recorder is not None:
            self._recorder.books.target = max(1, self._held_by(self._runner.target_user_classes_count))

    def _beat(self, recorder: Recorder) -> None:
        while True:
            gevent.sleep(LINE_S)
            try:
                self._line(recorder)
            except LoadtestError as error:  # the disk: what is there is intact, the run ends cleanly
                logger.error("%s", error)
                recorder.over = str(error)
                gevent.spawn(self._runner.quit)
                return

    def _line(self, recorder: Recorder) -> None:
        for info in recorder.bridge.silent_workers():
            recorder.lose(info, "its heartbeat stopped")
        books = recorder.books
        if recorder.verdict.ramp_s is None and books.subscribed >= books.target:
            recorder.verdict.ramp_s = recorder.elapsed_s(now_ns())
        feed_interval(self._environment.stats, books.interval)
        applying = self._striker is not None and bool(self._striker.under_way)
        recorder.write_line(str(self._phase), watchful=self._phase is Phase.HOLD, applying=applying)

    def _stop(self, **_: Any) -> None:
        recorder, self._recorder = self._recorder, None
        if recorder is None:
            return
        books = recorder.books
        if recorder.over is None and books.subscribed and recorder.profile.publishes:
            self._drain(recorder)
        if self._pulse is not None:
            self._pulse.kill()
            self._pulse = None
        if not recorder.began:
            recorder.over = "The test was stopped before its workers were there."
        elif recorder.verdict.ramp_s is None and 0 < books.subscribed < books.target:
            recorder.verdict.short_ramp(books, recorder.elapsed_s(now_ns()))
        if self._striker is not None:
            self._striker.undo()
        run = recorder.finish(str(self._phase))
        recorder.folder.close()
        if self._onlooker is not None:
            self._onlooker.leave(run)
        self._leave(exit_code(run))
        reasons = "; ".join(run["reasons"]) or "every threshold held"
        logger.info("%s: %s -- %s", run["verdict"], reasons, recorder.folder.path)
        try:
            logger.info("report: %s", report_path(recorder.folder.path))
        except ResultsError as error:
            logger.warning("no report: %s", error)

    def _drain(self, recorder: Recorder) -> None:
        """Stop publishing, and wait until the last message has arrived or is lost."""
        recorder.stop_publishing()
        self._phase = Phase.DRAIN
        recorder.mark(recorder.elapsed_s(now_ns()), str(Phase.DRAIN), "phase")
        gevent.sleep(max(recorder.profile.drain_s, recorder.profile.publish.deadline_s + 0.5))

    def _leave(self, code: ExitCode) -> None:
        """Settle the exit code: the first run that did not pass decides; after a pass, Locust's own errors do."""
        ours = all(error.method == METHOD for error in self._environment.stats.errors.values())
        if not self._environment.process_exit_code and (code or (ours and not self._runner.exceptions)):
            self._environment.process_exit_code = int(code)


def _dismiss(runner: MasterRunner | LocalRunner, forked: int) -> None:
    """Send the workers home; those that `--processes` forked are waited for, since Locust would leave them behind."""
    deadline_ns = now_ns() + round(HELLO_S * NS_PER_S)
    while isinstance(runner, MasterRunner) and len(runner.clients) < forked and now_ns() < deadline_ns:
        gevent.sleep(0.05)
    runner.quit()


def _outlive_no_master(runner: WorkerRunner) -> None:
    """End a worker that `--processes` forked when its master is gone without a word."""
    while os.getppid() == _attached_by:
        gevent.sleep(LINE_S)
    logger.error("the master is gone")
    runner.quit()


def attach(show: Callable[[Environment, str], Onlooker] | None = None) -> None:
    """Register with Locust; call it once in a locustfile.

    Args:
        show: adds to the web UI, given the environment and the folder of runs; called only where there is a web UI.
    """
    global _attached_by, _show
    _attached_by, _show = os.getpid(), show
    hooks: Any = events  # Locust's hooks are untyped
    hooks.init_command_line_parser.add_listener(_add_options)
    hooks.init.add_listener(_on_init)


def _add_options(parser: Any, **_: Any) -> None:
    parser.set_defaults(web_host=LOOPBACK)
    parser.add_argument(
        "--loadtest-out", default="runs", env_var="LOADTEST_OUT", help="Where run folders go.", include_in_web_ui=False
    )


def _on_init(environment: Environment, runner: Any, web_ui: Any, **_: Any) -> None:
    runners.HEARTBEAT_LIVENESS = HEARTBEAT_LIVENESS
    gevent.get_hub().loop.update_now()  # it stood still during the imports, and Locust's -t would be shorter by them
    options = environment.parsed_options
    if isinstance(runner, WorkerRunner | LocalRunner):
        try:
            users = users_of(environment.user_classes)
        except LoadtestError as error:  # a run here is refused below, a worker by its master
            users = {}
            logger.error("%s", error)
        make_bridge(environment, remote=isinstance(runner, WorkerRunner), users=users)
    if isinstance(runner, WorkerRunner):
        if options is not None and options.processes:
            gevent.spawn(_outlive_no_master, runner)
        return
    out = str(getattr(options, "loadtest_out", None) or "runs")
    run = PlainRun(environment, out, None if web_ui is None or _show is None else _show(environment, out))
    known = options is not None and web_ui is None and environment.shape_class is None
    try:
        run.check((options.num_users or 1) if options is not None and known else None)
    except LoadtestError as error:
        logger.error("%s", error)
        _dismiss(runner, (options and options.processes) or 0)
        sys.exit(int(error.exit_code))
    if web_ui is not None and web_ui.host == LOOPBACK:
        logger.info("the web UI has no login and answers on this machine only; --web-host '*' opens it to all")
    if isinstance(runner, MasterRunner) and runner.master_bind_host == "*":
        logger.warning(
            "the master takes workers from every network, and Locust knows no authentication:"
            " --master-bind-host 127.0.0.1 if all of them are on this machine"
        )
