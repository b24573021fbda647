from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from loadtest.clock import NS_PER_MS, NS_PER_S
from loadtest.metrics.books import Books
from loadtest.metrics.delivery import MOST_TRACES
from loadtest.metrics.receive_queue import ReceiveQueue
from loadtest.metrics.recovery import RecoveryCurve
from loadtest.metrics.report import WorkerReport
from loadtest.metrics.service_recovery import ServiceRecovery
from tests.metrics.wires import T, histogram, report_wire, through_msgpack


def curve_wire() -> dict[str, Any]:
    curve = RecoveryCurve(T, 4)
    curve.primary_drop(T + 1)
    return curve.take()


def assert_is_the_report(report: WorkerReport) -> None:
    assert (report.worker, report.seq, report.t_ns, report.final) == (3, 8, T + 2 * NS_PER_S, False)
    assert report.connections == {"idle": 1, "subscribed": 4}  # the publisher's connections are not the population's
    assert report.counts == {"attempts": 3, "connected": 2}
    assert (report.failures, report.drops) == ({"refused": 2}, {"eof": 0})
    assert (report.histograms["connect"].count, report.histograms["ack"].count) == (1, 2)
    assert {key: report.ledger[key] for key in ("expected", "delivered", "lost")} == {
        "expected": 4,
        "delivered": 3,
        "lost": 1,
    }
    assert report.fanout == histogram(1, 2, 3)
    assert (report.uncorrected.min_ns, report.uncorrected.max_ns) == (NS_PER_MS - 1_000, 3 * NS_PER_MS - 1_000)
    assert list(report.seconds) == [1_000]
    second = report.seconds[1_000]
    assert (second.expected, second.delivered, second.lost, second.latencies) == (4, 3, 1, histogram(1, 2, 3))
    [trace] = report.traces
    assert (trace.channel, trace.epoch, trace.seq, trace.expected) == (0, 1, 0, 4)
    assert trace.latencies == histogram(1, 2, 3)
    assert (report.published, report.unsent, report.publish_failures) == (5, 1, {"refused": 1})
    assert (report.lateness, report.lag) == (histogram(0.5), histogram(0.25))
    assert report.receive_queue == ReceiveQueue(histogram(0.75), connections=4, error_ns=100, discarded=2)
    assert (report.cpu_percent, report.rss_bytes, report.gc_max_ms, report.errors) == (12.5, 1 << 26, 1.5, 0)
    assert list(report.outages) == ["deploy"]


@pytest.mark.parametrize("path", [through_msgpack, lambda wire: json.loads(json.dumps(wire))], ids=["msgpack", "json"])
def test_a_workers_report_survives_the_way(path: Any) -> None:
    wire = report_wire(3, 8, outages={"deploy": [curve_wire()]})
    assert_is_the_report(WorkerReport.read(path(wire)))


NO_NUMBERS: list[Any] = [None, "1", 1.5, True, [], -1, 1 << 70]
NO_OBJECTS = [None, 1, "x", [1]]
NO_LISTS: list[Any] = [None, 1, "ab", {}]
COUNTS = [*NO_OBJECTS, {"x": -1}, {"x": "1"}, {"x": 1.0}, {"x": True}, {str(n): 1 for n in range(257)}]
HISTOGRAMS = [*NO_OBJECTS, {}, {"b": [1]}, {"b": [1, 1]}, {"b": [1, 1], "min": 9, "max": 1}]
FIGURES = [None, "1", True, -1, float("nan"), float("inf")]
HERD = ("herds", 0)
MALFORMED: list[tuple[tuple[str | int, ...], str, list[Any]]] = [
    (("worker",), "worker", NO_NUMBERS),
    (("seq",), "seq", [*NO_NUMBERS, 0]),
    (("t_ns",), "t_ns", NO_NUMBERS),
    (("final",), "final", [None, 0, 1, "true"]),
    (("herds",), "herds", [*NO_LISTS, [{}] * 65]),
    (("publishing",), "publishing", NO_OBJECTS),
    (("publishing", "published"), "published", NO_NUMBERS),
    (("publishing", "unsent"), "unsent", NO_NUMBERS),
    (("publishing", "failures"), "publishing failures", COUNTS),
    (("publishing", "lateness"), "lateness", HISTOGRAMS),
    (("outages",), "outages", NO_OBJECTS),
    (("outages", "deploy"), "outages", [*NO_LISTS, [{}], [curve_wire(), {"population": -1}]]),
    (("generator",), "generator", NO_OBJECTS),
    (("generator", "lag"), "lag", HISTOGRAMS),
    (("generator", "receive_queue"), "receive_queue", NO_OBJECTS),
    (("generator", "receive_queue", "delays"), "receive_queue delays", HISTOGRAMS),
    (("generator", "receive_queue", "connections"), "connections", NO_NUMBERS),
    (("generator", "receive_queue", "error_ns"), "error_ns", NO_NUMBERS),
    (("generator", "receive_queue", "discarded"), "discarded", NO_NUMBERS),
    (("generator", "cpu_percent"), "cpu_percent", FIGURES),
    (("generator", "rss_bytes"), "rss_bytes", NO_NUMBERS),
    (("generator", "gc_max_ms"), "gc_max_ms", FIGURES),
    (("generator", "errors"), "errors", NO_NUMBERS),
    (HERD, "herd", NO_OBJECTS),
    ((*HERD, "connections"), "connections", COUNTS),
    ((*HERD, "account"), "account", NO_OBJECTS),
    ((*HERD, "account", "counts"), "counts", COUNTS),
    ((*HERD, "account", "failures"), "failures", COUNTS),
    ((*HERD, "account", "drops"), "drops", COUNTS),
    ((*HERD, "account", "connect"), "connect", HISTOGRAMS),
    ((*HERD, "account", "subscribe"), "subscribe", HISTOGRAMS),
    ((*HERD, "account", "ack"), "ack", HISTOGRAMS),
    ((*HERD, "account", "connect_lateness"), "connect_lateness", HISTOGRAMS),
    ((*HERD, "account", "first_drop_ns"), "first_drop_ns", NO_NUMBERS),
    ((*HERD, "ledger"), "ledger", [1, "x", []]),
    ((*HERD, "ledger", "counts"), "ledger counts", COUNTS),
    ((*HERD, "ledger", "fanout"), "fanout", HISTOGRAMS),
    ((*HERD, "ledger", "uncorrected"), "uncorrected", HISTOGRAMS),
    ((*HERD, "ledger", "seconds"), "seconds", [*NO_OBJECTS, {n: [0, 0, 0, {"b": []}] for n in range(4_001)}]),
    ((*HERD, "ledger", "seconds", 1_000), "second", [*NO_LISTS, [1, 2, 3], [1, 2, 3, {}], [1, -2, 3, {"b": []}]]),
    ((*HERD, "ledger", "seconds", "x"), "second", [[0, 0, 0, {"b": []}]]),
    ((*HERD, "ledger", "seconds", "\u00b2"), "second", [[0, 0, 0, {"b": []}]]),
    ((*HERD, "ledger", "seconds", "9" * 5_000), "second", [[0, 0, 0, {"b": []}]]),
    ((*HERD, "ledger", "seconds", 1_004), "second", [[0, 0, 0, {"b": []}]]),  # after the report itself
    ((*HERD, "ledger", "traces"), "traces", [*NO_LISTS, [0] * (MOST_TRACES + 1)]),
    ((*HERD, "ledger", "traces", 0), "trace", [*NO_LISTS, [0, 1, 2, 3], [0, 1, 2, "3", {"b": []}], [0, 1, 2, 3, 4]]),
    (("herds", 1, "account"), "account", NO_OBJECTS),
    (("herds", 1, "account", "ack"), "ack", HISTOGRAMS),
]
CASES = [(path, name, value) for path, name, values in MALFORMED for value in values]


@pytest.mark.parametrize(("path", "name", "value"), CASES, ids=[f"{'.'.join(map(str, p))[:60]}" for p, _, _ in CASES])
def test_a_malformed_key_is_refused_by_name_and_nothing_is_counted(
    path: tuple[str | int, ...], name: str, value: Any
) -> None:
    wire = report_wire(outages={"deploy": [curve_wire()]})
    inner: Any = wire
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    books = Books(4, T, NS_PER_S, ServiceRecovery(10))
    books.open_event("deploy", "deploy", T)
    untouched = copy.deepcopy(snapshot(books))
    with pytest.raises(ValueError, match=rf"(^|\b){name}"):
        books.merge(wire)
    assert snapshot(books) == untouched
    assert books.rejected == 1


@pytest.mark.parametrize(
    "path", [path for path, *_ in MALFORMED if path[-1] not in ("x", "\u00b2", "9" * 5_000, 1_004)]
)
def test_a_missing_key_is_refused(path: tuple[str | int, ...]) -> None:
    wire = report_wire(outages={"deploy": [curve_wire()]})
    inner: Any = wire
    for key in path[:-1]:
        inner = inner[key]
    if isinstance(path[-1], int) or path == ("outages", "deploy"):
        return  # an entry less is a shorter report
    del inner[path[-1]]
    with pytest.raises(ValueError):
        WorkerReport.read(wire)


@pytest.mark.parametrize("wire", [None, 1, "report", [], [1, 2], b"x"])
def test_what_is_no_object_is_no_report(wire: object) -> None:
    with pytest.raises(ValueError, match="report must be an object"):
        WorkerReport.read(wire)


def snapshot(books: Books) -> list[Any]:
    """All that a merge may change, `rejected` apart."""
    curves = {name: (event.curve.as_curve(), event.lost) for name, event in books.events.items()}
    figures = [books.fanout_figures(), books.connection_figures(None, None), books.generator_figures(0)]
    figures[2].pop("reports_rejected")
    return [curves, figures, dict(books.workers), vars(books.total), books._seconds, vars(books.interval)]
