"""What the calibrated target did, worked out from its own log by METRICS.md, without the harness's code.

    publishes.jsonl, deliveries.bin, account.json --read--> Account --figures(deadline)--> Figures

Law: every figure is computed from all samples, sorted; nothing is binned. Percentiles are nearest rank, as METRICS.md
says: the ceil(p * n / 100)-th smallest.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tests.truth.target import COPY, RECORD

NS_PER_MS = 1_000_000
SHARES = (50, 99, 100)


class Publish(NamedTuple):
    """One published text, and what its marker says."""

    channel: str
    epoch: int
    seq: int
    sched_ns: int
    late_ns: int
    members: int


class Sent(NamedTuple):
    """One delivery, in the order of sending; `sent_ns` 0 = never sent."""

    publish: int
    client: int
    due_ns: int
    sent_ns: int
    kind: int


def percentile(ordered: Sequence[int], percent: float) -> float:
    """Return the nearest-rank percentile of ascending `ordered`; infinite entries may be there."""
    return ordered[max(1, math.ceil(round(percent * len(ordered) / 100, 9))) - 1]


@dataclass
class Figures:
    """The truth in the terms of METRICS.md; latencies in ns, ascending."""

    expected: int = 0
    delivered: int = 0
    lost: int = 0
    late: int = 0
    duplicated: int = 0
    reordered: int = 0
    latencies: list[int] = field(default_factory=list)
    uncorrected: list[int] = field(default_factory=list)
    ttk: dict[int, list[float]] = field(default_factory=dict)

    def latency_ms(self, percent: float) -> float:
        """Return a percentile of the latency from the scheduled time."""
        return percentile(self.latencies, percent) / NS_PER_MS

    def uncorrected_ms(self, percent: float) -> float:
        """Return a percentile of the latency from the actual time of publish."""
        return percentile(self.uncorrected, percent) / NS_PER_MS

    def ttk_ms(self, share: int, percent: float) -> float:
        """Return a percentile over publishes of the time to `share` % of subscribers."""
        return percentile(self.ttk[share], percent) / NS_PER_MS


class Account:
    """The account in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.facts: dict[str, Any] = json.loads((folder / "account.json").read_text())
        self.publishes = [_publish(json.loads(line)) for line in (folder / "publishes.jsonl").read_text().splitlines()]

    def sent(self) -> Iterator[Sent]:
        """Yield every delivery in the order of sending."""
        with (self.folder / "deliveries.bin").open("rb") as log:
            while block := log.read(RECORD.size * 40_000):
                yield from map(Sent._make, RECORD.iter_unpack(block))

    def figures(self, deadline_s: float) -> Figures:
        """Work out the figures; what was sent later than `deadline_s` after its scheduled time is late, and lost."""
        deadline_ns = round(deadline_s * 1e9)
        truth = Figures()
        highest: dict[tuple[int, str, int], int] = {}
        by_publish: dict[int, list[int]] = defaultdict(list)
        for number, client, _, sent_ns, kind in self.sent():
            publish = self.publishes[number]
            if kind == COPY:
                truth.duplicated += 1
                continue
            truth.expected += 1
            latency = sent_ns - publish.sched_ns
            if not sent_ns or latency > deadline_ns:
                truth.lost += 1
                truth.late += bool(sent_ns)
                continue
            truth.delivered += 1
            truth.latencies.append(latency)
            truth.uncorrected.append(latency - publish.late_ns)
            by_publish[number].append(latency)
            stream = client, publish.channel, publish.epoch
            top = highest.get(stream, -1)
            if publish.seq < top:
                truth.reordered += 1
            else:
                highest[stream] = publish.seq
        truth.latencies.sort()
        truth.uncorrected.sort()
        truth.ttk = {share: sorted(self._ttk(by_publish, share)) for share in SHARES}
        return truth

    def _ttk(self, by_publish: dict[int, list[int]], share: int) -> Iterator[float]:
        for number, publish in enumerate(self.publishes):
            if publish.members:
                latencies = sorted(by_publish[number])
                needed = math.ceil(share * publish.members / 100)
                yield latencies[needed - 1] if needed <= len(latencies) else math.inf


def _publish(row: list[Any]) -> Publish:
    _, _, channel, text, members = row
    _, _, _, epoch, seq, sched_ns, late_ns = text.split(".")
    return Publish(channel, int(epoch), int(seq), int(sched_ns), int(late_ns), members)
