"""Conducts a run on the master: waits for the workers, moves through the phases, strikes with faults, ends.

    ramp --everybody subscribed--> warmup --> hold (faults) --> drain (deadlines pass) --> last reports --> run.json

Laws: whatever ends a run (its time, Ctrl-C, lost workers, a dead stack, a full disk), faults are taken back and the
record is finished. A fault that failed makes the run invalid: what was to be measured did not happen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import gevent
import psutil
from locust.runners import MasterRunner

from loadtest.clock import NS_PER_S, now_ns
from loadtest.errors import ResultsError, RunInvalidError, UsageError
from loadtest.faults.fault import Control, Fault
from loadtest.faults.schedule import Schedule, Slot
from loadtest.pacing.phases import Phase, Timeline
from loadtest.relay.control import Remote
from loadtest.users.profile_users import Publisher
from loadtest.users.recorder import Recorder
from loadtest.users.striker import Striker

STEP_S = 0.05
LINE_S = 1.0
WORKERS_TIMEOUT_S = 60.0


@dataclass
class Surroundings:
    """What the conductor needs of the processes around it.

    deaths: returns (pid, sentence) of workers that ended since the last call. stack_death: says why the stack under
    test is gone, or None; relay_death the same of a relay, which is ours. control: of a stack that was started for this
    run. memory_before: bytes available on the machine before anything was started; 0 = unknown. patience_s: how long to
    wait for the workers. files: how many each herd worker has to be able to open, whole herds of `herd_files` in each
    of its descriptor tables; 0 = whatever they can.
    """

    workers: int
    publishers: int
    deaths: Callable[[], Iterable[tuple[int, str]]]
    stack_death: Callable[[], str | None]
    relay_death: Callable[[], str | None] = lambda: None
    control: Control | None = None
    relays: Sequence[Remote] = ()
    memory_before: int = 0
    patience_s: float = WORKERS_TIMEOUT_S
    files: int = 0
    herd_files: int = 0


class Conductor:
    """Conduct one run.

    Args:
        faults: the profile's faults by name, built and checked.
    """

    def __init__(
        self, runner: MasterRunner, recorder: Recorder, faults: Mapping[str, Fault], surroundings: Surroundings
    ) -> None:
        profile = recorder.profile
        self._runner = runner
        self._record = recorder
        self._profile = profile
        self._around = surroundings
        self.striker = Striker(recorder, faults, surroundings.control, surroundings.relays)
        self._timeline = Timeline(
            profile.ramp.timeout_s,
            profile.phases.warmup_s,
            profile.duration_s,
            max(profile.drain_s, profile.publish.deadline_s + 0.5),
        )
        self._schedule = Schedule(Slot.of(fault) for fault in profile.faults)
        self._steady_s: float | None = None
        self._phase = Phase.RAMP
        self._rss_before = 0
        self._next_line_s = LINE_S

    @property
    def record(self) -> Recorder:
        """What is written down of the run."""
        return self._record

    # --- the run -----------------------------------------------------------------------------------------------------

    def interrupt(self, why: str) -> None:
        """End the run early; what was measured is kept."""
        self._record.over = self._record.over or why

    def run(self) -> dict[str, object]:
        """Run to the end and return run.json, which has been written.

        Raises:
            RunInvalidError: the workers never came.
        """
        try:
            self._gather()
            self._loop()
            self._missed()
        except ResultsError as error:  # the disk: what is there is intact, the run ends cleanly
            self.interrupt(str(error))
        finally:
            self.striker.undo()
        return self._record.finish(str(self._phase))

    def _gather(self) -> None:
        """Wait for the workers, tell them their places, spawn the users."""
        bridge, around = self._record.bridge, self._around
        deadline_ns = now_ns() + round(around.patience_s * NS_PER_S)
        while self._missing() and self._record.over is None:
            for _, sentence in around.deaths():
                raise RunInvalidError(f"a worker ended before the run began: {sentence}")
            if now_ns() > deadline_ns:
                raise RunInvalidError(
                    f"{self._missing()} did not come within {around.patience_s:g} s;"
                    f" see the logs in {self._record.folder.logs_dir}"
                )
            gevent.sleep(0.02)
        if self._record.over is not None:
            return
        self._check_files()
        bridge.send_plan(self._profile, self._profile.population.connections)
        users = self._profile.herds + around.publishers
        Publisher.fixed_count = around.publishers
        self._runner.start(users, spawn_rate=max(100, users))
        self._record.begin()
        self._record.mark(0.0, str(Phase.RAMP), "phase")

    def _check_files(self) -> None:
        """Refuse workers of other machines that may not open as many files as their share takes.

        Raises:
            UsageError: naming them, with the remedy.
        """
        need = self._around.files
        workers = [info for info in self._record.bridge.workers.values() if info.remote and info.role != "publisher"]
        whole = self._around.herd_files
        short = sorted({f"{info.host} ({info.files:,})" for info in workers if 0 < info.most_files(whole) < need})
        if short:
            raise UsageError(
                f"open files per process: {need:,} needed, fewer there on {', '.join(short)}; more workers"
                f" (loadtest worker --processes N), or ulimit -n {need} before loadtest worker"
            )

    def _missing(self) -> str:
        """Say who is still waited for; "" when everybody is there."""
        bridge, around = self._record.bridge, self._around
        bridge.forget_absent()
        publishers = bridge.count("publisher")
        here = {"workers": (bridge.count() - publishers, around.workers), "publishers": (publishers, around.publishers)}
        return " and ".join(f"{of - came} of {of} {who}" for who, (came, of) in here.items() if came < of)

    def _loop(self) -> None:
        while self._record.over is None and self._phase is not Phase.DONE:
            gevent.sleep(STEP_S)
            elapsed_s = self._record.elapsed_s(now_ns())
            self._watch_processes()
            self._advance(elapsed_s)
            self._strike(elapsed_s)
            if elapsed_s >= self._next_line_s:
                self._next_line_s = math.floor(elapsed_s) + LINE_S
                line = self._record.write_line(
                    str(self._phase),
                    watchful=self._phase is not Phase.DRAIN,
                    applying=bool(self.striker.under_way),
                )
                self._rss_before = self._rss_before or line["generator"]["rss_bytes"]

    def _watch_processes(self) -> None:
        record = self._record
        for pid, sentence in self._around.deaths():
            for info in record.bridge.workers.values():
                if info.pid == pid and not info.lost:
                    record.lose(info, sentence)
        for info in record.bridge.silent_workers():
            record.lose(info, f"its heartbeat stopped (on {info.host})" if info.remote else "its heartbeat stopped")
        if not record.bridge.count("herd"):
            record.verdict.invalid.append("No worker was left, so the run ended early.")
            record.broken = True
            self.interrupt("Every worker was lost.")
        lost = self._around.relay_death()
        if lost is not None:
            record.verdict.invalid.append(f"A relay ended during the run: {lost}.")
            record.broken = True
            self.interrupt(f"A relay ended: {lost}.")
        death = self._around.stack_death()
        if death is not None:
            record.verdict.failed.append(f"The stack under test ended during the run: {death}.")
            record.broken = True
            self.interrupt(f"The stack under test ended: {death}.")

    def _advance(self, elapsed_s: float) -> None:
        """Move to the phase that the clock and the population say."""
        if self._steady_s is None and not self._become_steady(elapsed_s):
            return
        phase = self._timeline.phase(elapsed_s, self._steady_s)
        if phase is not self._phase:
            self._phase = phase
            self._record.mark(elapsed_s, str(phase), "phase")
            if phase is Phase.HOLD:
                self._record.verdict.hold_from_ns = now_ns()
            if phase is Phase.DRAIN:
                self._record.stop_publishing()

    def _become_steady(self, elapsed_s: float) -> bool:
        """End the ramp when everybody is there, or its time is up."""
        books, verdict = self._record.books, self._record.verdict
        everybody = books.subscribed >= books.target
        if not everybody and not self._timeline.ramp_is_over(elapsed_s):
            return False
        if not books.subscribed:
            self.interrupt(verdict.nobody_came(books, self._profile))
            self._record.broken = True
            return False
        if not everybody:
            verdict.short_ramp(books, self._profile.ramp.timeout_s)
        self._steady_s = elapsed_s
        verdict.ramp_s = elapsed_s if everybody else None
        self._record.memory = self._measure_memory()
        self._record.start_publishing()
        return True

    def _measure_memory(self) -> tuple[float | None, float | None]:
        """Return the memory per held connection, in bytes: of the workers, and of the whole machine."""
        books = self._record.books
        workers = sum(gauge.rss_bytes for gauge in books.workers.values()) - self._rss_before
        machine = self._around.memory_before - psutil.virtual_memory().available
        return (
            max(0, workers) / books.subscribed if self._rss_before else None,
            machine / books.subscribed if self._around.memory_before else None,
        )

    # --- faults ------------------------------------------------------------------------------------------------------

    def _missed(self) -> None:
        """Say which faults never came due although the run took its whole time."""
        if self._record.over is None:
            self._record.verdict.invalid += [f"fault {name}: its moment never came." for name in self._schedule.pending]

    def _strike(self, elapsed_s: float) -> None:
        since_s = None
        if self._steady_s is not None and self._phase is Phase.HOLD:
            since_s = elapsed_s - self._timeline.begins_s(Phase.HOLD, self._steady_s)
        for name in self._schedule.due(elapsed_s, since_s):
            self.striker.strike(name)
