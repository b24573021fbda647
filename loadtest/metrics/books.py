"""The master's books: every worker's reports merged, second by second and for the whole run.

    WorkerReport --merge--> interval (since the last line) --line()--> intervals.jsonl, live view
                        \\-> totals, seconds by schedule, traces, recovery curves --> run.json

Laws: merging is addition; the order of reports does not matter. A report that was merged before is refused. Percentiles
come from merged histograms. Memory is constant over time: settled seconds go into the service record and are forgotten.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from loadtest.clock import NS_PER_MS, NS_PER_S
from loadtest.metrics.delivery import CLASSES
from loadtest.metrics.demand import Demand
from loadtest.metrics.event import MASS_SHARE, Event
from loadtest.metrics.ledger import GRACE_NS
from loadtest.metrics.packed import EMPTY, Packed
from loadtest.metrics.phase_figures import PhaseFigures
from loadtest.metrics.recovery import RecoveryCurve
from loadtest.metrics.report import Second, WorkerReport
from loadtest.metrics.service_recovery import ServiceRecovery, t_rec_s
from loadtest.metrics.strain import Strain
from loadtest.metrics.stretch import Stretch
from loadtest.metrics.sums import Sums
from loadtest.metrics.tally import Tally
from loadtest.metrics.time_to_share import Reached, TimeToShare, figures

STATES = ("idle", "waiting", "connecting", "opening", "subscribing", "subscribed")
REPORT_LAG_S = 3
LATE_S = 0.5
"""Losses of messages scheduled this much before an event are the event's."""

REMEMBERED_S = 60
"""How long losses are remembered for an event that is opened late."""


@dataclass(slots=True)
class Gauge:
    """The last word of one worker."""

    seq: int = 0
    t_ns: int = 0
    final: bool = False
    lost: bool = False
    connections: Counter[str] = field(default_factory=Counter)
    cpu_percent: float = 0.0
    rss_bytes: int = 0
    lag: Packed = EMPTY


class Books:
    """Keep the books of one run.

    Args:
        target: connections wanted. zero_ns: start of the run, on the clock of every report.
        deadline_ns: as the ledgers'. service: judges T_svc.
    """

    def __init__(self, target: int, zero_ns: int, deadline_ns: int, service: ServiceRecovery) -> None:
        self.target = target
        self.zero_ns = zero_ns
        self.workers: dict[int, Gauge] = {}
        self.events: dict[str, Event] = {}
        self.peak = 0
        self.rejected = 0
        self.time_to_share = TimeToShare()
        self.stretch = Stretch()
        self.phases = PhaseFigures()
        self.strain = Strain()
        self.demand = Demand()
        self.cpu_max_percent = 0.0
        self.gc_max_ms = 0.0
        self.errors = 0
        self.interval = Sums()
        self._closed = Sums()
        self._reached = Reached()
        self._settled = Tally()
        self._seconds: dict[int, Second] = {}
        self._service = service
        self._settle_s = -(-(deadline_ns + GRACE_NS) // NS_PER_S) + REPORT_LAG_S
        self._first_second = zero_ns // NS_PER_S
        self._next_second = 0
        self._publishing: list[list[int]] = []
        self._silent, self._most_silent = 0, 1
        self._lost_by_second: dict[int, int] = {}

    # --- from the workers --------------------------------------------------------------------------------------------

    def merge(self, wire: object) -> WorkerReport:
        """Add one report.

        Raises:
            ValueError: malformed, or merged before; then nothing was added and `rejected` has gone up.
        """
        try:
            report = WorkerReport.read(wire)
            gauge = self.workers.get(report.worker) or Gauge()
            if report.seq <= gauge.seq:
                raise ValueError(f"worker {report.worker}: report {report.seq} after {gauge.seq}, sent twice or late")
            told_of = (*report.outages, *(event_id for event_id, _ in report.others))
            unknown = [event_id for event_id in told_of if event_id not in self.events]
            if unknown:
                raise ValueError(f"worker {report.worker}: no such event {unknown[0]!r}")
        except ValueError:
            self.rejected += 1
            raise
        self.workers[report.worker] = gauge
        gauge.seq, gauge.t_ns, gauge.final = report.seq, report.t_ns, report.final
        gauge.connections = Counter() if gauge.lost else report.connections
        gauge.cpu_percent, gauge.rss_bytes, gauge.lag = report.cpu_percent, report.rss_bytes, report.lag
        self.cpu_max_percent = max(self.cpu_max_percent, report.cpu_percent)
        self.gc_max_ms = max(self.gc_max_ms, report.gc_max_ms)
        self.errors += report.errors
        for event_id, curves in report.outages.items():
            for curve in curves:
                self.events[event_id].curve.merge_wire(curve)
        for event_id, bystanders in report.others:
            self.events[event_id].others.add(bystanders)
        self.interval.add(report)
        self.phases.add_report(report)
        self.strain.add(report)
        self.demand.add(report.t_ns, report.counts, report.failures)
        for part in report.seconds:
            index = part.second - self._first_second
            if index >= self._next_second:
                self._seconds.setdefault(index, Second()).add(part)
            else:
                self._settled.add(part.latencies)  # too late for the service record
            if part.lost:
                self._lose_messages(index, part.lost)
        for traces in report.traces:
            self.time_to_share.add(traces, report.t_ns)
        return report

    def _lose_messages(self, index: int, lost: int) -> None:
        """Charge every event that had begun; a young one may still be told of, so the last seconds are remembered."""
        self._lost_by_second[index] = self._lost_by_second.get(index, 0) + lost
        for old in [second for second in self._lost_by_second if second < self._next_second - REMEMBERED_S]:
            del self._lost_by_second[old]
        for event in self.events.values():
            if index >= self._charged_from(event.t0_ns):
                event.lost += lost

    def _charged_from(self, t0_ns: int) -> int:
        """The first second, since the run's first, whose losses are an event's."""
        return round(t0_ns - LATE_S * NS_PER_S) // NS_PER_S - self._first_second

    def lose(self, worker: int) -> int:
        """Strike a lost worker's connections from the gauge; return how many were subscribed."""
        gauge = self.workers.setdefault(worker, Gauge())
        subscribed = gauge.connections["subscribed"]
        gauge.connections = Counter()
        gauge.lost = True
        return subscribed

    # --- from the conductor ------------------------------------------------------------------------------------------

    def open_event(self, name: str, kind: str, t0_ns: int, *, announced: bool = True) -> Event:
        """Follow a mass disconnect from now on; names are unique."""
        event = self.events[name] = Event(name, kind, t0_ns, RecoveryCurve(t0_ns), announced)
        begin = self._charged_from(t0_ns)
        event.lost = sum(lost for second, lost in self._lost_by_second.items() if second >= begin)
        return event

    def publishing_from(self, at_ns: int, silence_s: float = 1.0) -> None:
        """Say that publishes are due from `at_ns` on, at least one in `silence_s`.

        For T_svc: a second without any due is no evidence; of a publish each 3 s, two silent seconds are none.
        """
        self._publishing.append([at_ns, 1 << 62])
        self._silent, self._most_silent = 0, math.ceil(silence_s)

    def publishing_until(self, at_ns: int) -> None:
        """Say that no publish is due from `at_ns` on."""
        if self._publishing:
            self._publishing[-1][1] = min(self._publishing[-1][1], at_ns)

    def connections(self) -> Counter[str]:
        """Return how many connections are in each state, over all workers."""
        sums: Counter[str] = Counter()
        for gauge in self.workers.values():
            sums.update(gauge.connections)
        return sums

    @property
    def total(self) -> Sums:
        """The sums of the run so far; added up here, not at every report."""
        sums = Sums()
        sums.add(self._closed)
        sums.add(self.interval)
        return sums

    @property
    def latencies(self) -> Tally:
        """Latencies of the messages whose deadline has passed; added up here, not at every report."""
        return Tally.of((self._settled, *(second.latencies for second in self._seconds.values())))

    @property
    def subscribed(self) -> int:
        """Clients in session with all their subscriptions, as last reported."""
        return sum(gauge.connections["subscribed"] for gauge in self.workers.values())

    def unexplained_drop_ns(self) -> int | None:
        """Return when a mass disconnect began that no open event explains, judged on the interval so far; else None.

        An event explains drops until 99 of 100 of its clients are back: one that never returns must not hide the next.
        """
        dropped = self.interval.counts["drops"]
        if dropped <= max(1.0, MASS_SHARE * self.target) or not self.interval.first_drop_ns:
            return None
        first_ns = self.interval.first_drop_ns
        if any(event.explains(first_ns) for event in self.events.values()):
            return None
        return first_ns - 1

    def close_events(self, now_ns: int) -> list[Event]:
        """Close the events that are over and return them. A later drop is then another event's."""
        closed = [event for event in self.events.values() if not event.closed and event.is_over(now_ns)]
        for event in closed:
            event.closed = True
        return closed

    # --- to the log and the live view --------------------------------------------------------------------------------

    def line(self, now_ns: int, phase: str) -> dict[str, Any]:
        """Close the interval and return its line (the keys of intervals.jsonl)."""
        interval, self.interval = self.interval, Sums()
        states = self.connections()
        self.peak = max(self.peak, states["subscribed"])
        self._settle(now_ns)
        self._reached.add(self.time_to_share.settle(now_ns - self._settle_s * NS_PER_S))
        reached, self._reached = self._reached, Reached()
        self._closed.add(interval)
        self.stretch.add(interval, reached)
        live = [gauge for gauge in self.workers.values() if not gauge.lost]
        return {
            "t_s": round((now_ns - self.zero_ns) / NS_PER_S, 3),
            "phase": phase,
            "workers": len(live),
            "target": self.target,
            "connections": {state: states[state] for state in STATES},
            "attempts": interval.counts["attempts"],
            "connected": interval.counts["connected"],
            "subscribed": interval.counts["subscribed"],
            "drops": interval.counts["drops"],
            "failures": dict(interval.failures),
            "connect_ms": interval.histograms["connect"].brief_ms(),
            "fanout": {
                "published": interval.published,
                "delivered": interval.fanout.count,
                **{f"{key}_ms": value for key, value in interval.fanout.brief_ms().items() if key != "count"},
            },
            "ttk": {"traced": reached.traced, "never": {str(share): n for share, n in reached.never.items()}},
            "delivery": {
                key: interval.ledger[key] for key in ("expected", "delivered", "lost", "duplicated", "reordered")
            },
            "generator": {
                "lateness_p99_ms": _ms(interval.lateness.percentile_ns(99)),
                "loop_lag_p99_ms": _ms(interval.lag.percentile_ns(99)),
                "receive_queue_p99_ms": _ms(interval.receive_queue.percentile_ns(99)),
                "cpu_max_percent": max((gauge.cpu_percent for gauge in live), default=None),
                "rss_bytes": sum(gauge.rss_bytes for gauge in live),
            },
            "events": [self._event_line(event) for event in self.events.values()],
        }

    def _event_line(self, event: Event) -> dict[str, Any]:
        curve = event.curve
        return {
            "name": event.name,
            "at_s": round((event.t0_ns - self.zero_ns) / NS_PER_S, 3),
            "population": curve.population,
            "connected": curve.connected_now,
            "subscribed": curve.subscribed_now,
            "dropped": curve.dropped,
        }

    def _settle(self, now_ns: int, *, all_of_them: bool = False) -> None:
        """Hand seconds whose messages have all met their deadline to the service record."""
        last = now_ns // NS_PER_S - self._first_second - (0 if all_of_them else self._settle_s)
        while self._next_second <= last:
            index = self._next_second
            second = self._seconds.pop(index, None) or Second()
            self._settled.add(second.latencies)
            start_ns = (self._first_second + index) * NS_PER_S
            within = any(begin < start_ns + NS_PER_S and end > start_ns for begin, end in self._publishing)
            self._silent = self._silent + 1 if within and not second.expected else 0
            due = within and (second.expected > 0 or self._silent >= self._most_silent)
            self.phases.add_second(start_ns, second)
            self._service.add(index, second.latencies, second.expected, second.delivered, due)
            self._next_second += 1

    # --- to run.json -------------------------------------------------------------------------------------------------

    def finish(self, end_ns: int) -> None:
        """Settle what is left, at the end of the run."""
        self._settle(end_ns, all_of_them=True)
        self._reached.add(self.time_to_share.settle(end_ns))

    def connection_figures(self, ramp_s: float | None, bytes_per_connection: float | None) -> dict[str, Any]:
        """Return "connections" of run.json."""
        total = self.total
        return {
            "target": self.target,
            "peak": self.peak,
            "at_end": self.subscribed,
            "attempts": total.counts["attempts"],
            "failures": dict(total.failures),
            "drops": dict(total.drops),
            "ramp_seconds": ramp_s,
            "connect_ms": total.histograms["connect"].latency_ms(),
            "subscribe_ms": total.histograms["subscribe"].latency_ms(),
            "connect_lateness_ms": total.histograms["connect_lateness"].latency_ms(),
            "postponed": total.counts["postponed"],
            "bytes_per_connection": bytes_per_connection,
        }

    def fanout_figures(self) -> dict[str, Any]:
        """Return "fanout" of run.json."""
        total, ttk = self.total, self.time_to_share.total
        ledger = total.ledger
        expected, delivered = ledger["expected"], ledger["delivered"]
        by_class = {}
        for kind in CLASSES:
            of_class = {key: ledger[f"{kind}.{key}"] for key in ("expected", "delivered")}
            by_class[kind] = of_class | {"lost": of_class["expected"] - of_class["delivered"]}
        return {
            "published": total.published,
            "unsent": total.unsent,
            "publish_failures": dict(total.publish_failures),
            "expected": expected,
            "delivered": delivered,
            "lost": ledger["lost"],
            "duplicated": ledger["duplicated"],
            "reordered": ledger["reordered"],
            "late": ledger["late"],
            "foreign": ledger["foreign"] + total.counts["foreign"],
            **{kind: ledger[kind] for kind in ("extra", "early", "misrouted", "replayed", "missed_away", "caught_up")},
            "announced_late": ledger["announced_late"],
            "imbalance": max(ledger["imbalance"], abs(expected - delivered - ledger["lost"])),
            "completeness": delivered / expected if expected else None,
            "by_class": by_class,
            "latency_ms": self.latencies.latency_ms(),
            "uncorrected_ms": total.uncorrected.latency_ms(),
            "ack_ms": total.histograms["ack"].latency_ms(),
            "ttk_ms": figures(ttk.reached, ttk.never),
            "ttk_traced": ttk.traced,
            "ttk_skipped": self.time_to_share.skipped + ledger["untraced"],
        }

    def event_figures(self, event: Event, end_ns: int, baseline_from_ns: int | None) -> dict[str, Any]:
        """Return one entry of "events" of run.json."""
        base_s = self._first_second
        t0_s = event.t0_ns / NS_PER_S - base_s
        t_svc_s = None
        if baseline_from_ns is not None:
            first_t0_ns = min(other.t0_ns for other in self.events.values())
            t_svc_s = self._service.t_svc_s(t0_s, baseline_from_ns / NS_PER_S - base_s, first_t0_ns / NS_PER_S - base_s)
        curve, back_s = event.curve, event.curve.t_sub_s(99)
        return {
            "name": event.name,
            "kind": event.kind,
            "announced": event.announced,
            "at_s": (event.t0_ns - self.zero_ns) / NS_PER_S,
            "population": curve.population,
            "dropped": curve.dropped,
            "recovery": curve.as_recovery(end_ns, t_svc_s=t_svc_s, t_rec_s=t_rec_s(back_s, t_svc_s), lost=event.lost)
            | event.others.figures(curve.blast_radius)
            | self.demand.figures(event, end_ns),
            **event.more(self.zero_ns),
        }

    def generator_figures(self, clock_error_ms: float) -> dict[str, Any]:
        """Return "generator" of run.json."""
        total = self.total
        return {
            "lateness_p99_ms": _ms(total.lateness.percentile_ns(99)),
            "loop_lag_p99_ms": _ms(total.lag.percentile_ns(99)),
            **self.strain.receive_queue().figures(),
            "cpu_max_percent": self.cpu_max_percent,
            "clock_error_ms": clock_error_ms,
            "workers_lost": sum(gauge.lost for gauge in self.workers.values()),
            "gc_max_ms": self.gc_max_ms,
            "reports_rejected": self.rejected,
            "engine_errors": self.errors,
            "workers": self.strain.figures(self.zero_ns),
        }


def _ms(value_ns: int | None) -> float | None:
    return None if value_ns is None else value_ns / NS_PER_MS
