"""Everything of workers' reports that adds up.

Law: adding is commutative, so the order of reports does not matter; gauges (connections held, CPU) are not in here.
"""

from __future__ import annotations

from collections import Counter

from loadtest.metrics.report import HERD_HISTOGRAMS, WorkerReport
from loadtest.metrics.tally import Tally

FANOUT = "fanout.latency"
UNCORRECTED = "fanout.uncorrected"
CONNECT = "connections.connect"
SUBSCRIBE = "connections.subscribe"
ACK = "publish.ack"
RECEIVE_QUEUE = "generator.receive_queue"


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
        self.fanout = Tally()
        self.uncorrected = Tally()
        self.lateness = Tally()
        self.lag = Tally()
        self.receive_queue = Tally()
        self.histograms = {name: Tally() for name in HERD_HISTOGRAMS}
        self.first_drop_ns = 0

    def add(self, part: WorkerReport | Sums) -> None:
        """Add a report, or the sums of others."""
        self.counts.update(part.counts)
        self.failures.update(part.failures)
        self.drops.update(part.drops)
        self.ledger.update(part.ledger)
        self.publish_failures.update(part.publish_failures)
        self.published += part.published
        self.unsent += part.unsent
        self.fanout.add(part.fanout)
        self.uncorrected.add(part.uncorrected)
        self.lateness.add(part.lateness)
        self.lag.add(part.lag)
        self.receive_queue.add(part.receive_queue.delays if isinstance(part, WorkerReport) else part.receive_queue)
        for name, histogram in part.histograms.items():
            self.histograms[name].add(histogram)
        if part.first_drop_ns:
            self.first_drop_ns = min(self.first_drop_ns or part.first_drop_ns, part.first_drop_ns)

    def by_tag(self) -> dict[str, Tally]:
        """Return the latencies under the tags that `histograms.hlog` has for them."""
        return {
            FANOUT: self.fanout,
            UNCORRECTED: self.uncorrected,
            CONNECT: self.histograms["connect"],
            SUBSCRIBE: self.histograms["subscribe"],
            ACK: self.histograms["ack"],
            RECEIVE_QUEUE: self.receive_queue,
        }
