from __future__ import annotations

import pytest

from loadtest.metrics.report import WorkerReport
from loadtest.metrics.stretch import STRETCH_S, YOUNG_S, Stretch
from loadtest.metrics.sums import FANOUT, Sums
from loadtest.metrics.tally import Tally
from loadtest.metrics.time_to_share import Reached
from tests.metrics.wires import histogram, ledger_wire, report_wire


def interval(*latencies_ms: float) -> Sums:
    sums = Sums()
    sums.add(WorkerReport.read(report_wire(ledger=ledger_wire(0, latencies_ms, 0))))
    return sums


def test_stretches_add_up_to_what_was_measured() -> None:
    stretch, reached = Stretch(), Reached()
    reached.reached[99].add(Tally.of([histogram(3)]))
    stretch.add(interval(1, 2), reached)
    stretch.add(interval(3), Reached())
    first = stretch.take(2.0)
    stretch.add(interval(4, 5), reached)
    second = stretch.take(3.0)
    assert Tally.of([first[FANOUT], second[FANOUT]]) == Tally.of([histogram(1, 2, 3, 4, 5)])
    assert {tag: (first[tag].count, second[tag].count) for tag in first} == {
        "fanout.latency": (3, 2),
        "fanout.uncorrected": (3, 2),
        "connections.connect": (2, 1),
        "connections.subscribe": (0, 0),
        "publish.ack": (4, 2),
        "generator.receive_queue": (2, 1),
        "fanout.ttk.50": (0, 0),
        "fanout.ttk.99": (1, 1),
        "fanout.ttk.100": (0, 0),
    }
    assert (stretch.start_s, stretch.take(4.0)) == (3.0, {})


@pytest.mark.parametrize(
    ("start_s", "now_s", "due"),
    [
        (0.0, 0.3, False),
        (0.0, 0.9, True),
        (7.0, 8.1, True),
        (YOUNG_S - 1, YOUNG_S, True),
        (YOUNG_S, YOUNG_S + 1, False),
        (YOUNG_S, YOUNG_S + STRETCH_S - 0.6, False),
        (YOUNG_S, YOUNG_S + STRETCH_S - 0.1, True),
        (5_000.0, 5_003.0, False),
    ],
)
def test_a_stretch_lasts_a_second_while_the_run_is_young_and_ten_after(start_s: float, now_s: float, due: bool) -> None:
    stretch = Stretch()
    stretch.take(start_s)
    assert stretch.due(now_s) == due
