"""A run as OpenMetrics text: at its end, or as it stands while Prometheus asks.

    Families.of_run(run.json, histograms) --\
    Live (interval lines, histograms) -------+--> write_openmetrics --> text, "# EOF"

Names are a contract, listed in NAMES with their meaning; `ci/README.md` shows them. Times are in seconds, each latency
is one histogram with the buckets of BUCKETS_S, counters only rise. Labels hold what `facts` lets out and nothing else.

Source: OpenMetrics 1.0 (prometheus.io/docs/specs/om/open_metrics_spec).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

from loadtest.clock import NS_PER_S
from loadtest.metrics.histogram import width
from loadtest.metrics.tally import Tally
from loadtest.profile.redaction import safe
from loadtest.report import wording as w
from loadtest.report.facts import facts

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"

BUCKETS_S = (*(float(f"{digit}e{power}") for power in range(-4, 2) for digit in (1, 2, 5)), 100.0)

HISTOGRAMS = {
    "fanout.latency": ("loadtest_fanout_latency_seconds", "scheduled publish to receipt by a subscriber"),
    "fanout.uncorrected": ("loadtest_fanout_uncorrected_seconds", "actual send to receipt by a subscriber"),
    "connections.connect": ("loadtest_connect_seconds", "connect attempt to open session"),
    "connections.subscribe": ("loadtest_subscribe_seconds", "subscribe request to its acknowledgement"),
    "publish.ack": ("loadtest_publish_ack_seconds", "publish to its acknowledgement"),
    "generator.receive_queue": (
        "loadtest_generator_receive_queue_seconds",
        "arrival in the kernel to receipt, of a sample",
    ),
}
"""Tag in `histograms.hlog`, name, meaning."""

COUNTERS = {
    "loadtest_connect_attempts": "connects tried",
    "loadtest_connect_failures": "connects that failed, by reason",
    "loadtest_drops": "connections lost while open",
    "loadtest_published": "messages published",
    "loadtest_deliveries_expected": "deliveries whose deadline has passed",
    "loadtest_deliveries": "deliveries that came in time",
    "loadtest_deliveries_lost": "deliveries that missed their deadline",
    "loadtest_deliveries_duplicated": "deliveries of a message that was there already",
    "loadtest_deliveries_reordered": "deliveries behind a later one of their channel",
}
GAUGES = {
    "loadtest_connections": "connections by state",
    "loadtest_connections_target": "connections wanted",
    "loadtest_workers": "worker processes",
    "loadtest_run_seconds": "seconds since the start of the run",
    "loadtest_generator_lag_seconds": "event-loop lag p99 of the generator",
    "loadtest_generator_lateness_seconds": "publish lateness p99 of the generator",
    "loadtest_generator_cpu_ratio": "CPU of the busiest worker, 1 is a core",
    "loadtest_recovery_seconds": "time until a share of the clients was subscribed again, by event; +Inf: never",
    "loadtest_threshold_passed": "1 the threshold holds, 0 it does not or has no data",
    "loadtest_verdict": "1 for the verdict of the run",
}
INFO = "loadtest_run"

_DELIVERY = {
    "expected": "loadtest_deliveries_expected",
    "delivered": "loadtest_deliveries",
    "lost": "loadtest_deliveries_lost",
    "duplicated": "loadtest_deliveries_duplicated",
    "reordered": "loadtest_deliveries_reordered",
}

_END = (0, 0)
"""After the last bucket."""

Labels = tuple[tuple[str, str], ...]


@dataclass
class Families:
    """What there is to write: a value for each (name, labels), a histogram for each name."""

    info: dict[str, str] = field(default_factory=dict)
    values: dict[str, dict[Labels, float]] = field(default_factory=dict)
    histograms: dict[str, Tally] = field(default_factory=dict)

    def set(self, name: str, value: float | None, **labels: str) -> None:
        """Set a value; None leaves it out."""
        if value is not None:
            self.values.setdefault(name, {})[tuple(sorted(labels.items()))] = value

    def add(self, name: str, value: float | None, **labels: str) -> None:
        """Add to a counter."""
        of_name = self.values.setdefault(name, {})
        key = tuple(sorted(labels.items()))
        of_name[key] = of_name.get(key, 0.0) + (value or 0.0)


def of_run(run: Mapping[str, Any], histograms: Mapping[str, Tally]) -> Families:
    """Return the metrics of a finished run.

    Args:
        run: run.json.
        histograms: by tag, as `results.histogram_log.read_totals` gives them.
    """
    run = safe(run)
    found = Families(info=facts(run))
    found.set("loadtest_connect_attempts", w.number(run, "connections", "attempts"))
    for reason, count in _counts(run, "connections", "failures"):
        found.set("loadtest_connect_failures", count, reason=reason)
    found.set("loadtest_drops", w.total(run, "connections", "drops"))
    found.set("loadtest_published", w.number(run, "fanout", "published"))
    for key, name in _DELIVERY.items():
        found.set(name, w.number(run, "fanout", key))
    found.set("loadtest_connections", w.number(run, "connections", "at_end"), state="subscribed")
    found.set("loadtest_connections_target", w.number(run, "connections", "target"))
    found.set("loadtest_workers", w.number(run, "harness", "workers"))
    _generator(found, w.dig(run, "generator"))
    for event in w.items(run, "events"):
        for share in w.RECOVERY_STEPS:
            if share in (w.dig(event, "recovery", "t_sub_s") or {}):
                time_s = w.number(event, "recovery", "t_sub_s", share)
                labels = {"event": w.plain(w.text(event, "name"), 80), "share": share}
                found.set("loadtest_recovery_seconds", math.inf if time_s is None else time_s, **labels)
    for entry in w.items(run, "thresholds"):
        passed = w.text(entry, "verdict") == "PASS"
        found.set("loadtest_threshold_passed", float(passed), threshold=w.plain(w.text(entry, "expr"), 200))
    found.set("loadtest_verdict", 1.0, verdict=w.plain(w.text(run, "verdict"), 20))
    found.histograms = {HISTOGRAMS[tag][0]: histogram for tag, histogram in histograms.items() if tag in HISTOGRAMS}
    return found


class Live:
    """The metrics of a run under way; takes the calls of an observer of the run.

    Args:
        info: what `facts` lets out of what is known at the start.
    """

    def __init__(self, info: Mapping[str, str]) -> None:
        self.families = Families(info=dict(info))

    def feed(self, line: Mapping[str, Any]) -> None:
        """Take the interval line of the last second."""
        found = self.families
        for name, key in (("loadtest_connect_attempts", "attempts"), ("loadtest_drops", "drops")):
            found.add(name, w.number(line, key))
        for reason, count in _counts(line, "failures"):
            found.add("loadtest_connect_failures", count, reason=reason)
        found.add("loadtest_published", w.number(line, "fanout", "published"))
        for key, name in _DELIVERY.items():
            found.add(name, w.number(line, "delivery", key))
        for state, count in _counts(line, "connections"):
            found.set("loadtest_connections", count, state=state)
        found.set("loadtest_connections_target", w.number(line, "target"))
        found.set("loadtest_workers", w.number(line, "workers"))
        found.set("loadtest_run_seconds", w.number(line, "t_s"))
        _generator(found, w.dig(line, "generator"))

    def mark(self, mark: Mapping[str, Any]) -> None:
        """Take a mark; a scrape has no place for it."""

    def measure(self, histograms: Mapping[str, Tally]) -> None:
        """Take what was measured in the last second, by tag."""
        for tag, histogram in histograms.items():
            if tag in HISTOGRAMS:
                self.families.histograms.setdefault(HISTOGRAMS[tag][0], Tally()).add(histogram)


def write_openmetrics(found: Families, writer: TextIO) -> None:
    """Write everything, ended by "# EOF"."""
    _head(writer, INFO, "info", "what ran")
    writer.write(f"{INFO}_info{_labels(_label_names(found.info))} 1\n")
    for kind, names, suffix in (("counter", COUNTERS, "_total"), ("gauge", GAUGES, "")):
        for name, meaning in names.items():
            if found.values.get(name):
                _head(writer, name, kind, meaning)
                for labels, value in sorted(found.values[name].items()):
                    writer.write(f"{name}{suffix}{_labels(labels)} {_number(value)}\n")
    for name, meaning in HISTOGRAMS.values():
        histogram = found.histograms.get(name)
        if histogram is not None and histogram.count:
            _head(writer, name, "histogram", meaning)
            for bound_s, count in zip((*BUCKETS_S, math.inf), buckets(histogram, BUCKETS_S), strict=True):
                writer.write(f'{name}_bucket{{le="{_number(bound_s)}"}} {count}\n')
            writer.write(f"{name}_sum {_number(_sum_s(histogram))}\n{name}_count {histogram.count}\n")
    writer.write("# EOF\n")


def buckets(tally: Tally, bounds_s: Sequence[float]) -> list[int]:
    """Return how many values are at most each bound, and how many there are; exact to the histogram's 0.098 %."""
    found, seen = [], 0
    hit = tally.buckets()
    edge, count = next(hit, _END)
    for bound_s in bounds_s:
        while count and edge + width(edge) - 1 <= bound_s * NS_PER_S:
            seen += count
            edge, count = next(hit, _END)
        found.append(seen)
    return [*found, tally.count]


def _sum_s(tally: Tally) -> float:
    return sum((edge + (width(edge) - 1) / 2) * count for edge, count in tally.buckets()) / NS_PER_S


def _generator(found: Families, generator: object) -> None:
    for name, key, scale in (
        ("loadtest_generator_lag_seconds", "loop_lag_p99_ms", 1e-3),
        ("loadtest_generator_lateness_seconds", "lateness_p99_ms", 1e-3),
        ("loadtest_generator_cpu_ratio", "cpu_max_percent", 1e-2),
    ):
        value = w.number(generator, key)
        found.set(name, None if value is None else value * scale)


def _counts(source: object, *keys: str) -> Iterable[tuple[str, float]]:
    held = w.dig(source, *keys)
    if isinstance(held, Mapping):
        for name in held:
            count = w.number(held, name)
            if count is not None:
                yield w.plain(name, 80), count


def _head(writer: TextIO, name: str, kind: str, meaning: str) -> None:
    unit = f"# UNIT {name} seconds\n" if name.endswith("_seconds") else ""
    writer.write(f"# TYPE {name} {kind}\n{unit}# HELP {name} {meaning}\n")


def _label_names(info: Mapping[str, str]) -> Labels:
    """Return labels whose names the format allows; two that become the same keep one."""
    names = {"".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in key): key for key in info}
    return tuple(sorted((name, info[key]) for name, key in names.items()))


def _labels(labels: Labels) -> str:
    def escaped(value: str) -> str:
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    return "{" + ",".join(f'{name}="{escaped(value)}"' for name, value in labels) + "}" if labels else ""


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
