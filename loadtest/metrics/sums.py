"""Everything of workers' reports that adds up.

Law: adding is commutative, so the order of reports does not matter; gauges (connections held, CPU) are not in here.
"""

from __future__ import annotations

from collections import Counter

from loadtest.metrics.histogram import Histogram
from loadtest.metrics.report import HERD_HISTOGRAMS, WorkerReport


class Sums:
    """The sums of some reports: the books keep one for the interval and one for the run."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.drops: Counter[str] = Counter()
        self.ledger: Counter[str] = Counter()
        self.publish_failures: Counter[str] = Counter()
        self.published = 0
        self.unsent = 0
        self.fanout = Histogram()
        self.lateness = Histogram()
        self.lag = Histogram()
        self.receive_queue = Histogram()
        self.histograms = {name: Histogram() for name in HERD_HISTOGRAMS}
        self.first_drop_ns = 0

    def add(self, report: WorkerReport) -> None:
        """Add a report."""
        self.counts.update(report.counts)
        self.failures.update(report.failures)
        self.drops.update(report.drops)
        self.ledger.update(report.ledger)
        self.publish_failures.update(report.publish_failures)
        self.published += report.published
        self.unsent += report.unsent
        self.lateness.add(report.lateness)
        self.lag.add(report.lag)
        self.receive_queue.add(report.receive_queue.delays)
        for name, histogram in report.histograms.items():
            self.histograms[name].add(histogram)
        if report.first_drop_ns:
            self.first_drop_ns = min(self.first_drop_ns or report.first_drop_ns, report.first_drop_ns)

    def by_tag(self) -> dict[str, Histogram]:
        """Return the histograms under the tags that `histograms.hlog` has for them."""
        tags = {"connect": "connections.connect", "subscribe": "connections.subscribe", "ack": "publish.ack"}
        found = {tag: self.histograms[name] for name, tag in tags.items()}
        return found | {"generator.receive_queue": self.receive_queue}
