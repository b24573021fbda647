"""What the pages know of the run: its history, its last second, who follows it; one run after the other.

    Recorder --line, mark--> Watch --Server-Sent Event, encoded once--> every open page (a bounded queue each)
                                   \\--> history (for a page that opens), recovery and workers (asked for, cached)

Laws: constant memory per run and per page. A page that does not keep up is let go, and reconnects by itself. What costs
time is worked out at most once for each second, however many pages ask.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from gevent.queue import Empty, Full, Queue
from locust.stats import RequestStats

from loadtest.clock import NS_PER_MS, now_ns
from loadtest.profile.model import Profile
from loadtest.profile.redaction import redact_url
from loadtest.results.plain import plain
from loadtest.users.locust_stats import feed_interval
from loadtest.users.recorder import Recorder
from loadtest.users.striker import Striker
from loadtest.web.history import COLUMNS, History

PAGES = 64
"""Pages that may follow at once."""
PATIENCE = 30
"""Events that may wait for one page."""
KEEP_ALIVE_S = 15.0
CURVE_POINTS = 400
LOG_LINES = 100
MOST_WORKERS = 1_000

READY, STARTING, RUNNING, OVER = "ready", "starting", "running", "over"


class Watch:
    """Watch the runs of this process (an `Observer` and an `Onlooker`).

    Attributes:
        state: ready (nothing ran yet), starting, running, over.
        line: the last interval line; {} before the first.
        title, target: of the run, for headings; text of strangers.
        outcome: {"verdict", "reasons", "run_id"} once a run is over, or {"problem"} where it did not begin.
    """

    def __init__(self, stats: RequestStats | None = None) -> None:
        self.state = READY
        self.title = self.target = ""
        self.line: Mapping[str, Any] = {}
        self.outcome: dict[str, Any] = {}
        self.recorder: Recorder | None = None
        self.striker: Striker | None = None
        self._stats = stats
        self._history = History()
        self._log: deque[tuple[float, str]] = deque(maxlen=LOG_LINES)
        self._seq = 0
        self._run = 0
        self._queues: set[Queue] = set()
        self._cached: dict[str, tuple[int, list[dict[str, Any]]]] = {}

    # --- from the run ------------------------------------------------------------------------------------------------

    def begin(self, title: str, target: str) -> None:
        """Forget the run before: another one is being started."""
        self._run += 1
        self.state, self.title, self.target = STARTING, title, target
        self.line, self.outcome = {}, {}
        self.recorder = self.striker = None
        self._history = History()
        self._log.clear()
        self._cached.clear()
        self._tell("run", self.head())

    def attend(self, recorder: Recorder, striker: Striker) -> None:
        """Take the record of a run that begins now, and what strikes with faults by hand."""
        if self.state != STARTING:
            self.begin(recorder.profile.name, shown_target(recorder.profile))
        self.recorder, self.striker = recorder, striker
        if self._stats is not None:
            stats = self._stats
            stats.clear_all()
            recorder.before_line = lambda interval: feed_interval(stats, interval)
        self.state = RUNNING
        self._tell("run", self.head())

    def feed(self, line: Mapping[str, Any]) -> None:
        """Take one interval line."""
        self.line = line
        row = self._history.add(line)
        told = [(line["t_s"], text) for text in line.get("log", ())]
        self._log.extend(told)
        self._tell("line", {"row": row, "phase": line["phase"], "events": line["events"], "log": told, **_now(line)})

    def mark(self, mark: Mapping[str, Any]) -> None:
        """Take a mark: a phase that began, a fault that struck."""
        self._history.mark(mark)
        self._tell("mark", dict(mark))

    def leave(self, run: Mapping[str, Any]) -> None:
        """Take run.json: the run is over."""
        self.recovery()  # the last word of the books, kept for who looks later
        self.outcome = {key: run.get(key) for key in ("run_id", "verdict", "reasons")}
        self._end()

    def fail(self, problem: str) -> None:
        """Note that the run could not begin, or broke."""
        self.outcome = {"problem": problem}
        self._end()

    def _end(self) -> None:
        self.state = OVER
        self.striker = None
        self._tell("run", self.head())

    # --- to the pages ------------------------------------------------------------------------------------------------

    def head(self) -> dict[str, Any]:
        """Return what run it is, and how it stands."""
        return {
            "run": self._run,
            "state": self.state,
            "title": self.title,
            "target": self.target,
            "outcome": self.outcome,
            "control": self.striker is not None and self.striker.control is not None,
        }

    def history(self) -> dict[str, Any]:
        """Return everything a page needs to draw the run so far."""
        line = self.line
        return {
            **self.head(),
            "seq": self._seq,
            "stride_s": self._history.stride_s,
            "names": list(COLUMNS),
            "columns": self._history.columns(),
            "marks": self._history.marks,
            "log": list(self._log),
            "phase": line.get("phase", ""),
            "events": line.get("events", []),
            **_now(line),
        }

    def follow(self) -> Iterator[bytes]:
        """Yield Server-Sent Events until the page goes away.

        Raises:
            OverflowError: too many pages follow already.
        """
        if len(self._queues) >= PAGES:
            raise OverflowError(f"{PAGES} pages follow this run already")
        queue: Queue = Queue(maxsize=PATIENCE)
        self._queues.add(queue)
        return self._events(queue)

    def _events(self, queue: Queue) -> Iterator[bytes]:
        try:
            yield b"retry: 1000\n\n"
            while queue in self._queues or not queue.empty():
                try:
                    yield queue.get(timeout=KEEP_ALIVE_S)
                except Empty:
                    yield b": still here\n\n"
        finally:
            self._queues.discard(queue)

    def _tell(self, kind: str, content: Mapping[str, Any]) -> None:
        self._seq += 1
        if not self._queues:
            return
        data = json.dumps({"seq": self._seq, **plain(content)}, separators=(",", ":"))
        event = f"event: {kind}\ndata: {data}\n\n".encode()
        for queue in list(self._queues):
            try:
                queue.put_nowait(event)
            except Full:
                self._queues.discard(queue)

    def recovery(self) -> list[dict[str, Any]]:
        """Return each event's figures so far and its curve, the latest first. Cost: the curves, once a second."""
        return self._once("recovery", self._recovery)

    def _recovery(self) -> list[dict[str, Any]]:
        recorder = self.recorder
        if recorder is None:
            return []
        books, hold_ns = recorder.books, recorder.verdict.hold_from_ns
        events = sorted(books.events.values(), key=lambda event: -event.t0_ns)[:8]
        now = now_ns()
        return [
            {**books.event_figures(event, now, hold_ns), "curve": event.curve.as_curve(CURVE_POINTS)}
            | {"elapsed_s": (now - event.t0_ns) / 1e9}
            for event in events
        ]

    def workers(self) -> list[dict[str, Any]]:
        """Return how each worker is."""
        return self._once("workers", self._workers)

    def _workers(self) -> list[dict[str, Any]]:
        recorder = self.recorder
        if recorder is None:
            return []
        gauges = recorder.books.workers
        found = []
        for info in sorted(recorder.bridge.workers.values(), key=lambda info: info.number)[:MOST_WORKERS]:
            gauge = gauges.get(info.number)
            states = {} if gauge is None else dict(gauge.connections)
            found.append(
                {
                    "number": info.number,
                    "role": info.role,
                    "host": info.host,
                    "lost": info.lost,
                    "connections": sum(count for state, count in states.items() if state != "idle"),
                    "subscribed": states.get("subscribed", 0),
                    "loop_lag_p99_ms": None if gauge is None else (gauge.lag.percentile_ns(99) or 0) / NS_PER_MS,
                    "cpu_percent": None if gauge is None else gauge.cpu_percent,
                    "rss_bytes": None if gauge is None else gauge.rss_bytes,
                    "clock_error_ms": info.clock_error_ns / NS_PER_MS,
                }
            )
        return found

    def _once(self, key: str, work: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
        """Return what `work` returned for this second; after the run, what it returned last."""
        known = self._cached.get(key)
        if known is not None and (known[0] == self._seq or self.state == OVER):
            return known[1]
        found: list[dict[str, Any]] = plain(work())
        self._cached[key] = self._seq, found
        return found


def shown_target(profile: Profile) -> str:
    """Return what is tested, for a heading: without what a URL may carry for its gateway alone."""
    target = profile.target
    where = ", ".join(redact_url(url) for url in target.urls[:3])
    if target.stack is not None:
        return f"{target.version or ''} of the reference stack, {target.nodes} nodes".strip()
    return f"{target.version}, {where}" if target.version else where


def _now(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the pages show of the last second beside its row."""
    failures = sorted((line.get("failures") or {}).items(), key=lambda pair: -pair[1])[:8]
    return {"workers": line.get("workers"), "failures": dict(failures)}
