"""Judge a run by sentences such as `fanout.latency.p99 < 250ms`: PASS, FAIL, or NO_DATA, which counts as failed.

    threshold ::= metric op bound [ "during" phase ] [ "abort" ]
    metric    ::= a name of METRICS, `<name>` in it standing for the name of an event
    op        ::= "<" | "<=" | ">" | ">=" | "==" | "!="
    bound     ::= duration      for times: 250ms, 1.5s, 2m (a unit is needed, except for 0)
                | percentage    for ratios and CPU: 99.9%, 120%; a ratio also as a plain number: 0.999, 1.2
                | count         for counts: 5000, 5k
    phase     ::= "ramp" | "warmup" | "hold" | "drain"

The law of this file: a figure is read from one place of `run.json`, and the bound is converted once, here, to the unit
that figure has there (ms, s, ratio, percent, count). What was not measured is NO_DATA, never a pass; a recovery that
was watched and did not come ("not recovered", null) is FAIL. `abort` asks whoever runs the test to end it as soon as
the threshold is FAIL; messages are in the figures once their deadline has passed. `during` reads the same places below
`phases.<phase>` of the run: only what is kept by phase can be asked for.

To add a metric, add a row to METRICS.
"""

from __future__ import annotations

import difflib
import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from loadtest.errors import UsageError
from loadtest.units import parse_count, parse_duration, parse_percent

Verdict = Literal["PASS", "FAIL", "NO_DATA"]
Unit = Literal["ms", "s", "ratio", "percent", "count"]

PHASES = ("ramp", "warmup", "hold", "drain")

_OPS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}


@dataclass(frozen=True, slots=True)
class Metric:
    """Where a metric lives.

    Attributes:
        name: as written in a threshold, with `<name>` for an event's name.
        unit: the unit of the figure in `run.json`.
        path: keys of `run.json`; below the event for an event's metric.
        per: keys of a count that divides the figure (a mapping is summed first); without it there is no data.
        needs: keys of a count that must be above 0 for the figure to be data at all.
        never: whether null means "watched, and it did not come" (FAIL) instead of NO_DATA.
        by_phase: whether it is kept for each phase too.
    """

    name: str
    unit: Unit
    path: tuple[str, ...]
    per: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    never: bool = False
    by_phase: bool = False

    @property
    def of_event(self) -> bool:
        return self.name.startswith("events.")


def _percentiles(name: str, path: tuple[str, ...], *, by_phase: bool = False) -> list[Metric]:
    keys = ("min", "p50", "p90", "p99", "p99.9", "max")
    return [Metric(f"{name}.{key}", "ms", (*path, key), needs=(*path, "count"), by_phase=by_phase) for key in keys]


_EXPECTED = ("fanout", "expected")
_DELIVERED = ("fanout", "delivered")
_JUDGED = ("recovery", "others", "judged")
_THROUGHOUT = ("fanout", "by_class", "throughout")

METRICS: tuple[Metric, ...] = (
    Metric(
        "connections.failures.rate",
        "ratio",
        ("connections", "failures"),
        per=("connections", "attempts"),
        by_phase=True,
    ),
    Metric("connections.peak", "count", ("connections", "peak"), needs=("connections", "attempts")),
    *_percentiles("connections.connect", ("connections", "connect_ms"), by_phase=True),
    *_percentiles("fanout.latency", ("fanout", "latency_ms"), by_phase=True),
    *_percentiles("fanout.uncorrected", ("fanout", "uncorrected_ms")),
    *(
        Metric(f"fanout.ttk.{k}.{p}", "ms", ("fanout", "ttk_ms", k, p), needs=_EXPECTED, never=True)
        for k in ("50", "99", "100")
        for p in ("p50", "p99")
    ),
    Metric("fanout.completeness", "ratio", ("fanout", "completeness"), needs=_EXPECTED, by_phase=True),
    Metric("fanout.published", "count", ("fanout", "published")),
    Metric("delivery.loss", "ratio", ("fanout", "lost"), per=_EXPECTED, by_phase=True),
    Metric("delivery.lost", "count", ("fanout", "lost"), needs=_EXPECTED, by_phase=True),
    Metric("delivery.duplicated", "count", ("fanout", "duplicated"), needs=_DELIVERED),
    Metric("delivery.duplication", "ratio", ("fanout", "duplicated"), per=_DELIVERED),
    Metric("delivery.reordered", "count", ("fanout", "reordered"), needs=_DELIVERED),
    Metric("delivery.disorder", "ratio", ("fanout", "reordered"), per=_DELIVERED),
    Metric("delivery.throughout.loss", "ratio", (*_THROUGHOUT, "lost"), per=(*_THROUGHOUT, "expected")),
    *(
        Metric(f"events.<name>.{t}.{p}", "s", ("recovery", f"{t}_s", p), needs=("population",), never=True)
        for t in ("t_conn", "t_sub")
        for p in ("50", "90", "99", "99.9", "100")
    ),
    Metric("events.<name>.t_svc", "s", ("recovery", "t_svc_s"), needs=("population",), never=True),
    Metric("events.<name>.t_rec", "s", ("recovery", "t_rec_s"), needs=("population",), never=True),
    Metric("events.<name>.amplification", "ratio", ("recovery", "amplification"), needs=("population",)),
    Metric("events.<name>.secondary_drops", "count", ("recovery", "secondary_drops"), needs=("population",)),
    Metric("events.<name>.lost", "count", ("recovery", "lost"), needs=("population",)),
    Metric("events.<name>.dropped_share", "ratio", ("dropped",), per=("population",)),
    Metric("events.<name>.blast_radius", "ratio", ("recovery", "blast_radius"), needs=("population",)),
    Metric("events.<name>.degraded", "ratio", ("recovery", "degraded"), needs=("population",)),
    Metric("events.<name>.others_p99_ratio", "ratio", ("recovery", "others_p99_ratio"), needs=_JUDGED, never=True),
    Metric("events.<name>.outage", "s", ("recovery", "outage_s_mean"), needs=("population",)),
    Metric("generator.lateness.p99", "ms", ("generator", "lateness_p99_ms")),
    Metric("generator.loop_lag.p99", "ms", ("generator", "loop_lag_p99_ms")),
    Metric("generator.receive_queue.p99", "ms", ("generator", "receive_queue_p99_ms")),
    Metric("generator.cpu_max", "percent", ("generator", "cpu_max_percent")),
    Metric("generator.clock_error", "ms", ("generator", "clock_error_ms")),
    Metric("workers_lost", "count", ("generator", "workers_lost")),
)

_BY_NAME = {metric.name: metric for metric in METRICS}
_EVENT_TAILS = sorted((m.name.removeprefix("events.<name>.") for m in METRICS if m.of_event), key=len, reverse=True)

_SHAPE = re.compile(r"(?P<metric>[^\s<>=!]+)\s*(?P<op><=|>=|==|!=|<|>)\s*(?P<rest>[^<>=!]+)")
_PLAIN = re.compile(r"\d{1,15}(\.\d{1,12})?", re.ASCII)
_EXAMPLE = '"fanout.latency.p99 < 250ms"'


@dataclass(frozen=True, slots=True)
class Threshold:
    """A parsed threshold; `bound` is in `metric.unit`, `event` is the name in an event's metric, else None."""

    expr: str
    metric: Metric
    event: str | None
    op: str
    bound: float
    phase: str | None = None
    abort: bool = False

    def holds(self, value: float) -> bool:
        """Whether a figure in `metric.unit` is as wanted."""
        return _OPS[self.op](value, self.bound)

    def aborts(self, outcome: Outcome) -> bool:
        """Whether `outcome`, judged while the run goes on, ends it. A recovery that has not come *yet* does not."""
        return self.abort and outcome.verdict == "FAIL" and outcome.value is not None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a threshold; `value` is in the unit the figure has in `run.json`, None when there is none."""

    expr: str
    value: float | None
    verdict: Verdict

    @property
    def failed(self) -> bool:
        """Whether it counts as failed: FAIL or NO_DATA."""
        return self.verdict != "PASS"

    def as_json(self) -> dict[str, Any]:
        """Return the entry of "thresholds" in `loadtest.run/1`."""
        return {"expr": self.expr, "value": self.value, "verdict": self.verdict}


def parse(expr: str) -> Threshold:
    """Parse one threshold.

    Raises:
        UsageError: naming what is wrong and, for an unknown metric, the names close to it.
    """
    match = _SHAPE.fullmatch(expr.strip())
    if match is None:
        raise UsageError(
            f"threshold {_quoted(expr)}: expected metric, one of {' '.join(sorted(_OPS))}, a number with its unit and,"
            f' if wanted, "during PHASE" and "abort", such as {_EXAMPLE}'
        )
    try:
        metric, event = find(match["metric"])
    except UsageError as error:
        raise UsageError(f"threshold {_quoted(expr)}: {error}") from error
    words = match["rest"].split()
    abort = words[-1] == "abort"
    if abort:
        words.pop()
    phase = None
    if len(words) > 1 and words[-2] == "during":
        phase = words[-1]
        del words[-2:]
    if phase is not None and phase not in PHASES:
        raise UsageError(f"threshold {_quoted(expr)}: unknown phase {_quoted(phase)}, one of {', '.join(PHASES)}")
    if phase is not None and event is not None:
        raise UsageError(f'threshold {_quoted(expr)}: an event has its own time, leave out "during {phase}"')
    if phase is not None and not metric.by_phase:
        kept = ", ".join(_families())
        raise UsageError(
            f'threshold {_quoted(expr)}: {metric.name} is not kept by phase, only {kept}: leave out "during"'
        )
    try:
        bound = _bound(" ".join(words), metric.unit)
    except UsageError as error:
        raise UsageError(f"threshold {_quoted(expr)}: {error}") from error
    if abort and metric.unit == "count" and not _OPS[match["op"]](0, bound):
        raise UsageError(
            f'threshold {_quoted(expr)}: a count begins at 0, so this would end the run at once: leave out "abort"'
        )
    return Threshold(expr.strip(), metric, event, match["op"], bound, phase, abort)


def _families() -> list[str]:
    """Return the names of what is kept by phase, percentiles as one."""
    names = (metric.name for metric in METRICS if metric.by_phase)
    return list(dict.fromkeys(re.sub(r"\.(min|max|p\d.*)$", ".*", name) for name in names))


def evaluate(threshold: Threshold, run: Mapping[str, Any]) -> Outcome:
    """Judge `threshold` by `run`, an object of schema `loadtest.run/1` (finished or as it stands)."""
    value = figure(run, threshold.metric, threshold.event, threshold.phase)
    if value is None:
        return Outcome(threshold.expr, None, "NO_DATA")
    if math.isinf(value):
        return Outcome(threshold.expr, None, "FAIL")
    return Outcome(threshold.expr, value, "PASS" if threshold.holds(value) else "FAIL")


def figure(run: Mapping[str, Any], metric: Metric, event: str | None = None, phase: str | None = None) -> float | None:
    """Return one figure of `run` in the metric's unit: None is no data, infinity "watched, and it did not come"."""
    root: Any = run
    if event is not None:
        root = next((entry for entry in run.get("events") or () if entry.get("name") == event), None)
    elif phase is not None:
        root = _at(run, ("phases", phase))
    measured = all((_number(_at(root, path)) or 0) > 0 for path in (metric.needs, metric.per) if path)
    if root is None or not measured:
        return None
    value = _number(_at(root, metric.path))
    if value is None:
        return math.inf if metric.never and _has(root, metric.path) else None
    return value / (_number(_at(root, metric.per)) or math.nan) if metric.per else value


def find(name: str) -> tuple[Metric, str | None]:
    """Return the metric of a name as thresholds write it, and the event named in it.

    Raises:
        UsageError: there is none, with the names close to it.
    """
    if name in _BY_NAME and not name.startswith("events.<"):
        return _BY_NAME[name], None
    if name.startswith("events."):
        rest = name.removeprefix("events.")
        for tail in _EVENT_TAILS:
            if rest.endswith("." + tail) and len(rest) > len(tail) + 1:
                return _BY_NAME[f"events.<name>.{tail}"], rest[: -len(tail) - 1]
    named = name.startswith("events.") and name.count(".") > 1 and name.removeprefix("events.") not in _EVENT_TAILS
    event = name.split(".")[1] if named else "<name>"
    known = [metric.name.replace("<name>", event) for metric in METRICS]
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known are {', '.join(m.name for m in METRICS)}"
    raise UsageError(f"unknown metric {_quoted(name)}; {hint}")


def _bound(text: str, unit: Unit) -> float:
    """Convert a bound to `unit`, free of the noise of floating point beyond nine decimals."""
    if unit in ("ms", "s"):
        return round(parse_duration(text) * (1000 if unit == "ms" else 1), 9)
    if unit == "count":
        return float(parse_count(text))
    if text.endswith("%"):
        return round(parse_percent(text) * (100 if unit == "percent" else 1), 12)
    if unit == "ratio" and _PLAIN.fullmatch(text):
        return float(text)
    wanted = "a percentage such as 80%" if unit == "percent" else "a ratio such as 99.9% or 0.999"
    raise UsageError(f"found {_quoted(text)}, expected {wanted}")


def _at(root: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        if not isinstance(root, Mapping):
            return None
        root = root.get(key)
    return root


def _has(root: Any, path: tuple[str, ...]) -> bool:
    parent = _at(root, path[:-1])
    return isinstance(parent, Mapping) and path[-1] in parent


def _number(value: Any) -> float | None:
    """Read a figure; a mapping of counts (failures by reason) is its sum. NaN and infinity are no figures."""
    if isinstance(value, Mapping):
        value = sum(value.values())
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _quoted(text: str) -> str:
    return '"' + (text if len(text) <= 120 else text[:117] + "...") + '"'
