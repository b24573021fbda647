"""The live view: what a person watches while a run is under way, redrawn once per interval line.

    interval line --feed--> LiveView --rich--> at least 80 x 24, more where there is room
    mark          --mark--^

It keeps the last line, a bounded history for the sparklines and the last log lines: constant memory however long the
run. There is no timer and no thread: it draws when it is fed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.text import Text

from loadtest.report import live_panels as panels
from loadtest.report import wording as w

HISTORY = 240
LOG_LINES = 200
WIDE = 116
"""Columns from which the log stands beside the figures instead of below them."""


class LiveView:
    """Draw a run under way on a terminal; a context manager that owns the screen region between enter and exit.

    Args:
        console: where to draw.
        title: name of the profile (text of a stranger).
        target: what is tested, for the first line (text of a stranger).
        planned_s: phase ("ramp", "warmup", "hold", "drain") -> its planned length in s, as far as known.
    """

    def __init__(
        self, console: Console, *, title: str, target: str = "", planned_s: Mapping[str, float] | None = None
    ) -> None:
        self._console = console
        self._title, self._target = w.plain(title, 60), w.plain(target, 200)
        self._planned_s = dict(planned_s or {})
        self._line: Mapping[str, Any] = {}
        self._phase_began_s: dict[str, float] = {}
        self._history: dict[str, deque[float | None]] = {
            key: deque(maxlen=HISTORY) for key in ("p50_ms", "p99_ms", "attempts")
        }
        self._log: deque[tuple[float, str]] = deque(maxlen=LOG_LINES)
        self._totals = {"expected": 0.0, "delivered": 0.0, "lost": 0.0, "duplicated": 0.0, "reordered": 0.0}
        self._failures: dict[str, float] = {}
        self._live = Live(self, console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> LiveView:
        self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def feed(self, line: Mapping[str, Any]) -> None:
        """Take one interval line and draw."""
        time_s = w.number(line, "t_s") or 0.0
        self._line = line
        self._phase_began_s.setdefault(w.text(line, "phase"), max(0.0, time_s - 1))
        for key in ("p50_ms", "p99_ms"):
            self._history[key].append(w.number(line, "fanout", key))
        self._history["attempts"].append(w.number(line, "attempts"))
        for key in self._totals:
            self._totals[key] += w.number(line, "delivery", key) or 0
        failures = w.dig(line, "failures")
        for reason in failures if isinstance(failures, Mapping) else ():
            name = w.plain(reason, 40)
            # Reasons are classes, few by contract; a peer that could invent them must not grow this map.
            name = name if name in self._failures or len(self._failures) < 40 else "other"
            self._failures[name] = self._failures.get(name, 0) + (w.number(failures, reason) or 0)
        for told in w.items(line, "log"):
            self._log.append((time_s, w.plain(told, 240)))
        self._live.refresh()

    def mark(self, mark: Mapping[str, Any]) -> None:
        """Take a mark (a phase begins, a fault fires) and draw."""
        time_s, name = w.number(mark, "t_s") or 0.0, w.plain(w.text(mark, "mark"), 40)
        if w.text(mark, "kind") == "phase":
            self._phase_began_s[name] = time_s
            self._log.append((time_s, f"{panels.PHASE_NAMES.get(name, name)} begins"))
        else:
            said = w.plain(w.text(mark, "text"), 240)
            self._log.append((time_s, f"{name}: {said}" if said else name))
        self._live.refresh()

    def log(self, words: str) -> None:
        """Show a line that belongs to no interval and draw."""
        self._log.append((w.number(self._line, "t_s") or 0.0, w.plain(words, 240)))
        self._live.refresh()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        height = max(1, (options.height or options.max_height or console.height) - 1)
        for line in self._lines(width, height):
            line.truncate(width, overflow="ellipsis")
            yield from console.render(line, options.update(no_wrap=True, overflow="ellipsis", height=None))
        yield Segment("")

    def _lines(self, width: int, height: int) -> list[Text]:
        head = panels.header(self._title, self._target, self._line, width)
        head += panels.phases(self._line, self._phase_began_s, self._planned_s, width)
        if not self._line:
            return (head + panels.log_lines(self._log, height - len(head)))[:height]
        left_width = width if width < WIDE else width * 11 // 20
        figures = panels.connections(self._line, left_width)
        figures += panels.rates(self._line, self._history["attempts"], self._failures, left_width)
        figures += panels.fanout(self._line, self._history["p50_ms"], self._history["p99_ms"], left_width)
        figures += panels.delivery(self._totals)
        figures += panels.generator(self._line)
        room = height - len(head)
        if width < WIDE:
            events = panels.events(self._line, width, max(2, min(4, room - len(figures) - 2)))
            body = figures + events
            return (head + body + panels.log_lines(self._log, room - len(body)))[:height]
        side_width = width - left_width - 3
        events = panels.events(self._line, side_width, max(2, room // 2))
        side = events + panels.log_lines(self._log, room - len(events))
        return (head + panels.beside(figures, side, left_width))[:height]
