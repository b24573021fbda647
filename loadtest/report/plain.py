"""Plain lines instead of the live view, where standard output is no terminal: one line per fact, stable, greppable.

    t=12.0 phase=hold workers=3 subscribed=5000/5000 waiting=0 ... fanout_p99_ms=12.70 lost=0
    t=32.1 mark=deploy kind=deploy text="all-at-once, 2 nodes"
    t=34.0 log="deploy complete"

Every line is `key=value` pairs, never coloured. Interval lines come each second for the first 10 s of a phase, after a
mark and after a drop, then every 5 s; marks and log texts come at once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any, TextIO

from loadtest.report import wording as w

CLOSE_S = 10.0
SPARSE_S = 5.0
MOST_REASONS = 3


class PlainLog:
    """Write a run under way to a text stream; takes the same calls as `LiveView`.

    Args:
        stream: where to write; flushed after every line, so that a pipe sees them when they happen.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._phase = ""
        self._close_until_s = CLOSE_S
        self._written_s = float("-inf")

    def __enter__(self) -> PlainLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.flush()

    def feed(self, line: Mapping[str, Any]) -> None:
        """Take one interval line; write it if it is due."""
        time_s, phase = w.number(line, "t_s") or 0.0, w.text(line, "phase")
        if phase != self._phase:
            self._phase, self._close_until_s = phase, time_s + CLOSE_S
        if w.number(line, "drops"):
            self._close_until_s = time_s + CLOSE_S
        if time_s <= self._close_until_s or time_s - self._written_s >= SPARSE_S:
            self._written_s = time_s
            self._write(time_s, _figures(line))
        for told in w.items(line, "log"):
            self._write(time_s, f"log={_quoted(told)}")

    def mark(self, mark: Mapping[str, Any]) -> None:
        """Write a mark at once, and every second for a while after it."""
        time_s = w.number(mark, "t_s") or 0.0
        self._close_until_s = time_s + CLOSE_S
        said = w.text(mark, "text")
        told = f"mark={_word(w.text(mark, 'mark'))} kind={_word(w.text(mark, 'kind'))}"
        self._write(time_s, f"{told} text={_quoted(said)}" if said else told)

    def log(self, words: str) -> None:
        """Write a line that belongs to no interval."""
        self._stream.write(f"log={_quoted(words)}\n")
        self._stream.flush()

    def _write(self, time_s: float, told: str) -> None:
        self._stream.write(f"t={time_s:.1f} {told}\n")
        self._stream.flush()


def _quoted(words: object) -> str:
    return json.dumps(w.plain(words), ensure_ascii=False)


def _word(words: str) -> str:
    shown = w.plain(words, 80)
    return _quoted(shown) if not shown or set(shown) & set(' "=') else shown


def _figures(line: Mapping[str, Any]) -> str:
    def whole(*keys: str) -> str:
        value = w.number(line, *keys)
        return "-" if value is None else f"{value:.0f}"

    def decimal(*keys: str) -> str:
        value = w.number(line, *keys)
        return "-" if value is None else f"{value:.2f}"

    pairs = [
        f"phase={_word(w.text(line, 'phase'))}",
        f"workers={whole('workers')}",
        f"subscribed={whole('connections', 'subscribed')}/{whole('target')}",
        *(f"{state}={whole('connections', state)}" for state in ("waiting", "connecting", "opening", "subscribing")),
        f"attempts={whole('attempts')}",
        f"connected={whole('connected')}",
        f"failed={w.total(line, 'failures'):.0f}",
        *_reasons(line),
        f"drops={whole('drops')}",
        f"published={whole('fanout', 'published')}",
        f"delivered={whole('fanout', 'delivered')}",
        f"fanout_p50_ms={decimal('fanout', 'p50_ms')}",
        f"fanout_p99_ms={decimal('fanout', 'p99_ms')}",
        f"lost={whole('delivery', 'lost')}",
        f"late_p99_ms={decimal('generator', 'lateness_p99_ms')}",
        f"lag_p99_ms={decimal('generator', 'loop_lag_p99_ms')}",
        f"queue_p99_ms={decimal('generator', 'receive_queue_p99_ms')}",
        f"cpu_percent={whole('generator', 'cpu_max_percent')}",
    ]
    for event in w.items(line, "events")[-1:]:
        pairs.append(f"event={_word(w.text(event, 'name'))} back={whole_of(event)}")
    return " ".join(pairs)


def _reasons(line: Mapping[str, Any]) -> list[str]:
    """Return what attempts failed of, the most frequent first, when any did."""
    failures = line.get("failures")
    counts = {} if not isinstance(failures, Mapping) else {name: w.number(line, "failures", name) for name in failures}
    most = sorted(((count, str(name)) for name, count in counts.items() if count), reverse=True)[:MOST_REASONS]
    return [f"reasons={_word(','.join(f'{name}:{count:.0f}' for count, name in most))}"] if most else []


def whole_of(event: Mapping[str, Any]) -> str:
    """Return "subscribed/population" of an event."""
    back, population = w.number(event, "subscribed"), w.number(event, "population")
    return f"{'-' if back is None else round(back)}/{'-' if population is None else round(population)}"
