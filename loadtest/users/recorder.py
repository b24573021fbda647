"""Records a run on the master: the books, one interval line a second, mass disconnects, the summary at the end.

    MasterBridge --reports--> Books --line()--> RunFolder, Observer        `finish` --> curves, histograms, run.json

Laws: whatever ends a run, the books are finished with what was measured and run.json is written. What makes a run
invalid, failed or interrupted is gathered in `verdict` as it happens, as sentences.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from loadtest.clock import NS_PER_S, now_ns
from loadtest.errors import ResultsError
from loadtest.metrics.books import Books
from loadtest.metrics.event import KNOWN_NS
from loadtest.metrics.service_recovery import ServiceRecovery
from loadtest.metrics.sums import Sums
from loadtest.metrics.tally import Tally
from loadtest.metrics.thresholds import Threshold, evaluate
from loadtest.pacing.arrivals import longest_silence_s
from loadtest.profile.model import Profile
from loadtest.profile.redaction import safe, safe_text
from loadtest.results.folder import RunFolder
from loadtest.results.summary import reason
from loadtest.users import messages
from loadtest.users.build import cycle_s
from loadtest.users.canary import Canaries
from loadtest.users.master_bridge import MasterBridge, WorkerInfo
from loadtest.users.silence import Silence
from loadtest.users.verdict import Verdict, live_figures, manifest_facts, summarise

GO_SLACK_S = 0.3
FINAL_TIMEOUT_S = 10.0
HASTY_TIMEOUT_S = 3.0


class Observer(Protocol):
    """Who watches a run: the live view, or the plain log."""

    def feed(self, line: Mapping[str, Any]) -> None:
        """Take the interval line of the last second."""

    def mark(self, mark: Mapping[str, Any]) -> None:
        """Take a mark: a phase that began, a fault that struck."""


@runtime_checkable
class ToldObserver(Protocol):
    """An observer that shows what belongs to no second, such as what is being started."""

    def log(self, words: str) -> None:
        """Take a line of text."""


@runtime_checkable
class MeasuresObserver(Protocol):
    """An observer that wants the latencies themselves, not their percentiles."""

    def measure(self, tallies: Mapping[str, Tally]) -> None:
        """Take what was measured in the last second, by the tags of `histograms.hlog`; not to be changed."""


class Recorder:
    """Keep the record of one run.

    Attributes:
        began: whether `begin` was called; before that there is nothing to finish.
        over: the sentence that says why the run ended early, or None.
        broken: it ended early because a part of it broke, not because somebody wished it.
        memory: bytes per held connection, of the workers and of the whole machine.
        last_facts: asked at the end for more keys of run.json.
        before_line: is shown each interval before it is closed (Locust's own table is fed from it).
    """

    def __init__(
        self,
        bridge: MasterBridge,
        profile: Profile,
        folder: RunFolder,
        observer: Observer,
        thresholds: Sequence[Threshold],
        facts: Mapping[str, Any],
    ) -> None:
        self.profile = profile
        self.folder = folder
        self.verdict = Verdict()
        self.bridge = bridge
        bridge.log = self.log
        self.began = False
        self.over: str | None = None
        self.broken = False
        self.memory: tuple[float | None, float | None] = (None, None)
        self.before_line: Callable[[Sums], None] = lambda _: None
        self.last_facts: Callable[[], Mapping[str, Any]] = dict
        self.books = self._new_books(0)
        self._observer = observer
        self._thresholds = thresholds
        self._facts = facts
        self._log: list[str] = []
        self._silence = Silence()
        self._canaries = Canaries(profile, bridge.tell, self.log)

    def _new_books(self, zero_ns: int) -> Books:
        recovery = self.profile.recovery
        books = Books(
            self.profile.population.connections,
            zero_ns,
            round(self.profile.publish.deadline_s * NS_PER_S),
            ServiceRecovery(recovery.window_s, recovery.tolerance),
        )
        books.demand.cycle_s = cycle_s(self.profile)
        return books

    def write_manifest(self, workers: int) -> None:
        """Write what is known before the run begins."""
        self.folder.write_manifest(manifest_facts(self.profile, workers, self._facts.get("tags", {})))

    # --- while it runs -----------------------------------------------------------------------------------------------

    def begin(self) -> int:
        """Open the books and let the population connect; return the start of the run, in ns."""
        zero_ns = now_ns() + round(GO_SLACK_S * NS_PER_S)
        self.books = self.bridge.books = self._new_books(zero_ns)
        self.began = True
        self.bridge.tell(messages.GO, {"start_ns": zero_ns})
        return zero_ns

    def elapsed_s(self, at_ns: int) -> float:
        """Return seconds since the start of the run."""
        return (at_ns - self.books.zero_ns) / NS_PER_S

    def start_publishing(self) -> None:
        """Have the publishers begin."""
        from_ns = now_ns() + round(GO_SLACK_S * NS_PER_S)
        self.bridge.tell(messages.PUBLISH, {"start_ns": from_ns})
        self._canaries.allowed = True
        if self.profile.publish_rate_per_s:
            publish = self.profile.publish
            silence_s = longest_silence_s(publish.arrival, self.profile.publish_rate_per_s, publish.burst_every_s)
            self.books.publishing_from(from_ns, silence_s)

    def stop_publishing(self) -> None:
        """Have the publishers end."""
        self._canaries.allowed = False
        self.bridge.tell(messages.PUBLISH, {"start_ns": None})
        self.books.publishing_until(now_ns())

    def log(self, text: str) -> None:
        """Put a line into the run's log and the live view, with the next interval line."""
        self._log.append(safe_text(text))

    def mark(self, elapsed_s: float, name: str, kind: str, text: str = "") -> None:
        """Put a mark on the time axis; one of kind "phase" begins a phase."""
        if kind == "phase":
            self.books.phases.begin(name, self.books.zero_ns + round(elapsed_s * NS_PER_S))
        told = safe_text(text)
        self.folder.append_mark(round(elapsed_s, 3), name, kind, told)
        self._observer.mark({"t_s": round(elapsed_s, 3), "mark": name, "kind": kind, "text": told})

    def follow(self, name: str, kind: str, t0_ns: int, text: str, *, announced: bool = True) -> None:
        """Follow a mass disconnect that began at `t0_ns`: who was subscribed, when are they back."""
        self.books.open_event(name, kind, t0_ns, announced=announced)
        self.bridge.tell(messages.FOLLOW, {"id": name, "t0_ns": t0_ns})
        self.mark(self.elapsed_s(t0_ns), name, kind, text)

    def lose(self, info: WorkerInfo, why: str) -> None:
        """Note that a worker is lost: its connections are struck, the run is invalid."""
        self.bridge.give_up(info, why)
        self.verdict.invalid.append(f"Worker {info.number} ({info.role}) was lost: {why}.")
        self.log(f"worker {info.number} ({info.role}) was lost: {why}")

    def write_line(self, phase: str, *, watchful: bool = True, applying: bool = False) -> dict[str, Any]:
        """Close the interval: look for what nobody announced, who is back and who waits, write the line, show it.

        Args:
            watchful: open an event for a mass disconnect that nobody announced, and let thresholds end the run.
            applying: a fault is still at work (a rolling deploy drops and restores node by node): no event is over.
        """
        began_ns = self.books.unexplained_drop_ns() if watchful else None
        if began_ns is not None:
            name = f"unannounced-{sum(not event.announced for event in self.books.events.values()) + 1}"
            self.follow(name, "unannounced", began_ns, "a mass disconnect nobody announced", announced=False)
        if not applying:
            self._close_events()
        self._canaries.look(self.books, now_ns())
        for told in self._silence.look(self.books, now_ns()):
            self.log(told)
        skipped = self.books.interval.counts["hooks_skipped"]
        if skipped:
            self.log(f"{skipped:,} happenings were not told to hooks, which are slower than what arrives")
        interval = self.books.interval
        self.before_line(interval)
        line = self.books.line(now_ns(), phase)
        line["log"], self._log = self._log, []
        self.folder.append_interval(line)
        if self.books.stretch.due(line["t_s"]):
            self._write_histograms(line["t_s"])
        self._observer.feed(line)
        if isinstance(self._observer, MeasuresObserver):
            self._observer.measure(interval.by_tag())
        if watchful and self.over is None:
            self._judge()
        return line

    def _write_histograms(self, now_s: float) -> None:
        """Write the latencies since the last time, so that a run that is killed keeps its percentiles."""
        start_s = self.books.stretch.start_s
        self.folder.append_histograms(start_s, max(0.0, now_s - start_s), self.books.stretch.take(now_s))

    def _judge(self) -> None:
        """End the run when a threshold with "abort" fails."""
        aborting = [threshold for threshold in self._thresholds if threshold.abort]
        if not aborting:
            return
        now = now_ns()
        figures = live_figures(self.books, now, self.verdict)
        for threshold in aborting:
            outcome = evaluate(threshold, figures)
            if threshold.aborts(outcome):
                why = f"Ended at {self.elapsed_s(now):.1f} s by {reason(threshold, outcome)}"
                self.verdict.failed.append(why)
                self.over, self.broken = why, True
                self.log(why)
                return

    def _close_events(self) -> None:
        """Stop following who came back, so that a later drop is another event's; every worker has to be heard first."""
        youngest_ns = max((event.t0_ns for event in self.books.events.values()), default=0)
        now = now_ns()
        if now - youngest_ns < KNOWN_NS:
            return
        for event in self.books.close_events(now):
            self.bridge.tell(messages.UNFOLLOW, {"id": event.name})
            self.log(f"{event.name}: {'every client is back' if event.curve.dropped else 'nobody was dropped'}")

    # --- the end -----------------------------------------------------------------------------------------------------

    def finish(self, phase: str) -> dict[str, Any]:
        """Take the last reports, close the books, write everything; return run.json."""
        if self.began:
            self.stop_publishing()
            for info in self.bridge.finish(HASTY_TIMEOUT_S if self.over else FINAL_TIMEOUT_S):
                self.verdict.invalid.append(f"Worker {info.number} ({info.role}) did not send its last report.")
            if not self.over and not self.verdict.unreachable and not self.books.total.counts["subscribed"]:
                self.verdict.nobody_came(self.books, self.profile, self.elapsed_s(now_ns()))
        verdict = self.verdict
        verdict.interrupted = None if self.broken or verdict.unreachable else self.over
        end_ns = now_ns()
        self.books.finish(end_ns)
        summary = summarise(
            self.books,
            verdict,
            self.profile,
            self.folder,
            self._thresholds,
            {**self._facts, **self.last_facts()},
            memory=self.memory,
            end_ns=end_ns,
            clock_error_ns=self.bridge.clock_error_ns(),
            clocks=self.bridge.clocks(),
        )
        run: dict[str, Any] = safe(summary)
        try:
            if self.began:
                self.write_line(phase, watchful=False)
            self._write_results(run, end_ns)
        except ResultsError as error:  # the disk: what is written is intact, and the caller still gets the figures
            reasons = [text for text in run["reasons"] if text != str(error)]
            run = {**run, "verdict": "interrupted", "reasons": [*reasons, str(error)]}
        return run

    def _write_results(self, run: Mapping[str, Any], end_ns: int) -> None:
        self._write_histograms(self.elapsed_s(end_ns))
        self.folder.write_curves({name: event.curve.as_curve() for name, event in self.books.events.items()})
        self.folder.write_summary(run)
