"""Conducts a run on the master: phases, faults, mass disconnects, one interval line a second, the summary at the end.

    ramp --everybody subscribed--> warmup --> hold (faults) --> drain (deadlines pass) --> last reports --> run.json

Laws: whatever ends a run (its time, Ctrl-C, lost workers, a dead stack, a full disk), the books are finished with what
was measured and the folder is closed. A fault that failed, a worker that was lost, an engine that erred: the run is
invalid, with the sentence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import gevent
import psutil
from locust.env import Environment
from locust.runners import MasterRunner

from loadtest.clock import NS_PER_S, now_ns
from loadtest.errors import LoadtestError, ResultsError, RunInvalidError
from loadtest.faults.fault import Control, Fault
from loadtest.faults.schedule import Schedule, Slot
from loadtest.metrics.books import Books
from loadtest.metrics.service_recovery import ServiceRecovery
from loadtest.metrics.thresholds import Threshold
from loadtest.pacing.phases import Phase, Timeline
from loadtest.profile.model import Profile
from loadtest.results.folder import RunFolder
from loadtest.users import messages
from loadtest.users.master_bridge import MasterBridge
from loadtest.users.profile_users import Population, Publisher
from loadtest.users.verdict import Verdict, summarise

STEP_S = 0.05
LINE_S = 1.0
GO_SLACK_S = 0.3
WORKERS_TIMEOUT_S = 60.0
FINAL_TIMEOUT_S = 10.0
HASTY_TIMEOUT_S = 3.0
HISTOGRAMS_EVERY_S = 10.0
EVENT_AT_LEAST_S = 3.0


class Observer(Protocol):
    """Who watches a run: the live view, or the plain log."""

    def feed(self, line: Mapping[str, Any]) -> None:
        """Take the interval line of the last second."""

    def mark(self, mark: Mapping[str, Any]) -> None:
        """Take a mark: a phase that began, a fault that struck."""

    def log(self, words: str) -> None:
        """Take a line of text."""


@dataclass
class Surroundings:
    """What the conductor needs of the processes around it.

    deaths: returns (pid, sentence) of workers that ended since the last call. stack_death: says why the stack under
    test is gone, or None. control: of a stack that was started for this run.
    """

    workers: int
    publishers: int
    deaths: Callable[[], Iterable[tuple[int, str]]]
    stack_death: Callable[[], str | None]
    control: Control | None = None
    memory_before: int = 0
    facts: dict[str, Any] = field(default_factory=dict)


class Conductor:
    """Conduct one run.

    Args:
        faults: the profile's faults by name, built and checked.
    """

    def __init__(
        self,
        environment: Environment,
        profile: Profile,
        folder: RunFolder,
        observer: Observer,
        faults: Mapping[str, Fault],
        thresholds: Sequence[Threshold],
        surroundings: Surroundings,
    ) -> None:
        assert isinstance(environment.runner, MasterRunner)
        self.profile = profile
        self.bridge = MasterBridge(environment, self.log)
        self._runner: MasterRunner = environment.runner
        self._folder = folder
        self._observer = observer
        self._faults = faults
        self._thresholds = thresholds
        self._around = surroundings
        self._timeline = Timeline(
            profile.ramp.timeout_s,
            profile.phases.warmup_s,
            profile.duration_s,
            max(profile.drain_s, profile.publish.deadline_s + 0.5),
        )
        self._schedule = Schedule(Slot.of(fault) for fault in profile.faults)
        self._service = ServiceRecovery(profile.recovery.window_s, profile.recovery.tolerance)
        self._verdict = Verdict()
        self._books: Books
        self._begun: list[str] = []
        self._applying: list[gevent.Greenlet] = []
        self._zero_ns = now_ns()
        self._steady_s: float | None = None
        self._phase = Phase.RAMP
        self._publishing_from_ns = 0
        self._rss_before = 0
        self._log: list[str] = []
        self._next_line_s = LINE_S
        self._bytes: tuple[float | None, float | None] = (None, None)
        self._over: str | None = None

    # --- the context of faults ---------------------------------------------------------------------------------------

    @property
    def control(self) -> Control | None:
        """Control of the stack under test, when it was started for this run."""
        return self._around.control

    @property
    def variables(self) -> Mapping[str, str]:
        """What a command fault finds in its environment."""
        return {"run": self.bridge.run, "folder": str(self._folder.path)}

    def drop(self, share: float, how: str) -> None:
        """Have all herds close `share` of their own sockets."""
        self.bridge.tell(messages.DROP, {"share": share, "how": how})

    def log(self, text: str) -> None:
        """Put a line into the run's log and the live view, with the next interval line."""
        self._log.append(text)

    # --- the run -----------------------------------------------------------------------------------------------------

    def interrupt(self, why: str) -> None:
        """End the run early; what was measured is kept."""
        self._over = self._over or why

    def run(self) -> dict[str, Any]:
        """Run to the end and return run.json, which has been written.

        Raises:
            RunInvalidError: the workers never came.
        """
        try:
            self._gather()
            self._loop()
        except ResultsError as error:  # the disk: what is there is intact, the run ends cleanly
            self._over = str(error)
        finally:
            self._undo_faults()
        return self._finish()

    def _gather(self) -> None:
        """Wait for the workers, tell them their places, spawn the users."""
        wanted = self._around.workers + self._around.publishers
        deadline_ns = now_ns() + round(WORKERS_TIMEOUT_S * NS_PER_S)
        while self.bridge.count() < wanted and self._over is None:
            for _, sentence in self._around.deaths():
                raise RunInvalidError(f"a worker ended before the run began: {sentence}")
            if now_ns() > deadline_ns:
                raise RunInvalidError(
                    f"only {self.bridge.count()} of {wanted} workers came within {WORKERS_TIMEOUT_S:g} s;"
                    f" see the logs in {self._folder.logs_dir}"
                )
            gevent.sleep(0.02)
        self.bridge.send_plan(self.profile)
        users = self.profile.herds + self._around.publishers
        Publisher.fixed_count = self._around.publishers
        Population.fixed_count = 0
        self._runner.start(users, spawn_rate=max(100, users))
        self._zero_ns = now_ns() + round(GO_SLACK_S * NS_PER_S)
        self._books = self.bridge.books = Books(
            self.profile.population.connections,
            self._zero_ns,
            round(self.profile.publish.deadline_s * NS_PER_S),
            self._service,
        )
        self.bridge.tell(messages.GO, {"start_ns": self._zero_ns})
        self._mark_phase(Phase.RAMP, 0.0)

    def _loop(self) -> None:
        while self._over is None and self._phase is not Phase.DONE:
            gevent.sleep(STEP_S)
            elapsed_s = (now_ns() - self._zero_ns) / NS_PER_S
            self._watch_processes()
            self._advance(elapsed_s)
            self._strike(elapsed_s)
            if elapsed_s >= self._next_line_s:
                self._next_line_s = math.floor(elapsed_s) + LINE_S
                self._write_line()

    def _watch_processes(self) -> None:
        for pid, sentence in self._around.deaths():
            for info in self.bridge.workers.values():
                if info.pid == pid and not info.lost:
                    self.bridge.give_up(info, sentence)
                    self._verdict.invalid.append(f"Worker {info.number} was lost: {sentence}.")
                    self.log(f"worker {info.number} ({info.role}) was lost: {sentence}")
        for info in self.bridge.lost_workers():
            self._verdict.invalid.append(f"Worker {info.number} was lost: {info.lost}.")
            self.log(f"worker {info.number} ({info.role}) was lost: {info.lost}")
        if not self.bridge.count("herd"):
            self._over = "every worker was lost"
        death = self._around.stack_death()
        if death is not None:
            self._verdict.failed.append(f"The stack under test ended during the run: {death}.")
            self._over = f"the stack under test ended: {death}"

    def _advance(self, elapsed_s: float) -> None:
        """Move to the phase that the clock and the population say."""
        if self._steady_s is None:
            everybody = self._books.subscribed >= self._books.target
            if not everybody and not self._timeline.ramp_is_over(elapsed_s):
                return
            if not self._books.subscribed:
                self._verdict.unreachable = self._nobody_came()
                self._over = self._verdict.unreachable
                return
            if not everybody:
                self._verdict.short_ramp(self._books, self.profile.ramp.timeout_s)
            self._steady_s = elapsed_s
            self._verdict.ramp_s = elapsed_s if everybody else None
            self._bytes = self._measure_memory()
            self._start_publishing()
        phase = self._timeline.phase(elapsed_s, self._steady_s)
        if phase is not self._phase:
            self._phase = phase
            self._mark_phase(phase, elapsed_s)
            if phase is Phase.HOLD:
                self._verdict.hold_from_ns = now_ns()
            if phase is Phase.DRAIN:
                self._stop_publishing()

    def _nobody_came(self) -> str:
        failures = self._books.total.failures
        reason = ", ".join(f"{name} x {count}" for name, count in failures.most_common(3)) or "no answer"
        urls = ", ".join(self.profile.target.urls[:3])
        return f"{urls} could not be reached: no client connected within {self.profile.ramp.timeout_s:g} s ({reason})"

    def _start_publishing(self) -> None:
        self._publishing_from_ns = now_ns() + round(GO_SLACK_S * NS_PER_S)
        self.bridge.tell(messages.PUBLISH, {"start_ns": self._publishing_from_ns})
        if self.profile.publish.rate_per_s:
            self._books.publishing(self._publishing_from_ns, 1 << 62)

    def _stop_publishing(self) -> None:
        self.bridge.tell(messages.PUBLISH, {"start_ns": None})

    def _mark_phase(self, phase: Phase, elapsed_s: float) -> None:
        self._mark(elapsed_s, str(phase), "phase", "")

    def _mark(self, elapsed_s: float, name: str, kind: str, text: str) -> None:
        self._folder.append_mark(round(elapsed_s, 3), name, kind, text)
        self._observer.mark({"t_s": round(elapsed_s, 3), "mark": name, "kind": kind, "text": text})

    # --- faults and events -------------------------------------------------------------------------------------------

    def _strike(self, elapsed_s: float) -> None:
        since_s = None
        if self._steady_s is not None and self._phase is Phase.HOLD:
            since_s = elapsed_s - self._timeline.begins_s(Phase.HOLD, self._steady_s)
        for name in self._schedule.due(elapsed_s, since_s):
            self._begun.append(name)
            self._applying.append(gevent.spawn(self._apply, name))

    def _apply(self, name: str) -> None:
        settings = next(fault for fault in self.profile.faults if fault.name == name)
        t0_ns = now_ns()
        self._follow(name, settings.kind, t0_ns, announced=True)
        text = getattr(settings, "strategy", "") or settings.kind
        self._mark((t0_ns - self._zero_ns) / NS_PER_S, name, settings.kind, str(text))
        try:
            self._faults[name].apply(self)
        except LoadtestError as error:
            self._verdict.invalid.append(f"{error}.")
            self.log(str(error))
        else:
            took_s = (now_ns() - t0_ns) / NS_PER_S
            self.log(f"{name}: applied in {took_s:.2f} s")

    def _follow(self, name: str, kind: str, t0_ns: int, *, announced: bool) -> None:
        self._books.open_event(name, kind, t0_ns, announced=announced)
        self.bridge.tell(messages.FOLLOW, {"id": name, "t0_ns": t0_ns})

    def _undo_faults(self) -> None:
        """Take back every fault that was begun, whatever happened."""
        gevent.killall(self._applying, block=True, timeout=5)
        for name in self._begun:
            try:
                self._faults[name].undo(self)
            except LoadtestError as error:
                self._verdict.invalid.append(f"{error}.")

    # --- once a second -----------------------------------------------------------------------------------------------

    def _write_line(self) -> None:
        began_ns = self._books.unexplained_drop_ns()
        if began_ns is not None and self._phase is not Phase.DRAIN:
            name = f"unannounced-{sum(not event.announced for event in self._books.events.values()) + 1}"
            self._follow(name, "unannounced", began_ns, announced=False)
            self._mark((began_ns - self._zero_ns) / NS_PER_S, name, "unannounced", "a mass disconnect nobody announced")
        self._close_events()
        line = self._books.line(now_ns(), str(self._phase))
        line["log"], self._log = self._log, []
        self._folder.append_interval(line)
        self._observer.feed(line)
        if not self._rss_before and line["generator"]["rss_bytes"]:
            self._rss_before = line["generator"]["rss_bytes"]

    def _close_events(self) -> None:
        """Stop following who came back: a later drop is another event's.

        Not while a fault is still being applied (a rolling deploy drops and restores node by node), nor before every
        worker has spoken of the newest event.
        """
        youngest_ns = max((event.t0_ns for event in self._books.events.values()), default=0)
        applying = any(not greenlet.dead for greenlet in self._applying)
        if applying or now_ns() - youngest_ns < EVENT_AT_LEAST_S * NS_PER_S:
            return
        for name in self._books.close_recovered():
            self.bridge.tell(messages.UNFOLLOW, {"id": name})
            self.log(f"{name}: every client is back")

    def _measure_memory(self) -> tuple[float | None, float | None]:
        """Return the memory per held connection, in bytes: of the workers, and of the whole machine."""
        held = self._books.subscribed
        workers = sum(gauge.rss_bytes for gauge in self._books.workers.values()) - self._rss_before
        machine = self._around.memory_before - psutil.virtual_memory().available
        return (
            max(0, workers) / held if self._rss_before else None,
            machine / held if self._around.memory_before else None,
        )

    # --- the end -----------------------------------------------------------------------------------------------------

    def _finish(self) -> dict[str, Any]:
        if self.bridge.books is None:  # interrupted before the workers came
            self._books = Books(self.profile.population.connections, self._zero_ns, 0, self._service)
        else:
            self._stop_publishing()
            silent = self.bridge.finish(HASTY_TIMEOUT_S if self._over else FINAL_TIMEOUT_S)
            for info in silent:
                self._verdict.invalid.append(f"Worker {info.number} did not send its last report.")
        self._verdict.interrupted = self._over if not (self._verdict.failed or self._verdict.unreachable) else None
        end_ns = now_ns()
        self._books.finish(end_ns)
        run = summarise(
            self._books,
            self._verdict,
            self.profile,
            self._folder,
            self._thresholds,
            self._around.facts,
            memory=self._bytes,
            end_ns=end_ns,
        )
        try:
            self._write_results(run, end_ns)
        except ResultsError as error:
            self.log(str(error))
        return run

    def _write_results(self, run: Mapping[str, Any], end_ns: int) -> None:
        if self.bridge.books is not None:
            self._write_line()
        length_s = (end_ns - self._zero_ns) / NS_PER_S
        total = self._books.total
        histograms = {
            "fanout.latency": self._books.latencies,
            "fanout.uncorrected": self._books.uncorrected,
            "connections.connect": total.histograms["connect"],
            "connections.subscribe": total.histograms["subscribe"],
            "publish.ack": total.histograms["ack"],
        }
        self._folder.append_histograms(0.0, length_s, histograms)
        self._folder.write_curves({name: event.curve.as_curve() for name, event in self._books.events.items()})
        self._folder.write_summary(run)
