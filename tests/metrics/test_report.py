from __future__ import annotations

import copy
from array import array
from typing import Any

import pytest

from loadtest.clock import NS_PER_MS, NS_PER_S
from loadtest.metrics.books import Books
from loadtest.metrics.delivery import MOST_TRACES, TRACE_ROW
from loadtest.metrics.packed import Packed
from loadtest.metrics.recovery import RecoveryCurve
from loadtest.metrics.report import WorkerReport
from loadtest.metrics.service_recovery import ServiceRecovery
from loadtest.metrics.traces import Traces
from tests.metrics.wires import T, histogram, report_wire, through_msgpack, traces_wire


def curve_wire() -> dict[str, Any]:
    curve = RecoveryCurve(T, 4)
    curve.primary_drop(T + 1)
    return curve.take()


def others_wire() -> list[Any]:
    """What is told of three bystanders of "deploy"."""
    part = {"clients": 3, "judged": 3, "degraded": 1, "seconds": {-1: [0, histogram(1, 2).to_wire()], 0: [1, EMPTY]}}
    return [["deploy", part]]


def same(found: Packed, *values_ms: float) -> bool:
    return found.latency_ms() == histogram(*values_ms).latency_ms()


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
    assert same(report.fanout, 1, 2, 3)
    assert (report.uncorrected.min_ns, report.uncorrected.max_ns) == (NS_PER_MS - 1_000, 3 * NS_PER_MS - 1_000)
    [second] = report.seconds
    assert second[:4] == (1_000, 4, 3, 1)
    assert same(second.latencies, 1, 2, 3)
    [trace] = report.traces[0]
    assert (trace.message, trace.expected, trace.counts.tolist()) == ((0, 1, 0), 4, [1, 1, 1])
    assert (trace.min_ns, trace.max_ns) == (NS_PER_MS, 3 * NS_PER_MS)
    assert (report.published, report.unsent, report.publish_failures) == (5, 1, {"refused": 1})
    assert same(report.lateness, 0.5)
    assert same(report.lag, 0.25)
    assert same(report.receive_queue.delays, 0.75)
    assert report.receive_queue[1:] == (4, 100, 2)
    assert (report.cpu_percent, report.rss_bytes, report.gc_max_ms, report.errors) == (12.5, 1 << 26, 1.5, 0)
    assert list(report.outages) == ["deploy"]
    [(event_id, part)] = report.others
    assert (event_id, *part[:3]) == ("deploy", 3, 3, 1)
    assert [(second, missing, latencies.count) for second, missing, latencies in part.seconds] == [
        (-1, 0, 2),
        (0, 1, 0),
    ]


@pytest.mark.parametrize("path", [through_msgpack, lambda wire: wire], ids=["msgpack", "one process"])
def test_a_workers_report_survives_the_way(path: Any) -> None:
    wire = report_wire(3, 8, outages={"deploy": [curve_wire()]}, others=others_wire())
    assert_is_the_report(WorkerReport.read(path(wire)))


def test_the_herds_of_a_worker_are_summed() -> None:
    wire = report_wire()
    wire["herds"].append(wire["herds"][0])
    report = WorkerReport.read(wire)
    assert (report.fanout.count, report.fanout.counts.tolist()) == (6, [2, 2, 2])
    assert report.histograms["connect"].count == 2
    assert [(part.second, part.latencies.count) for part in report.seconds] == [(1_000, 3)] * 2
    assert [len(traces) for traces in report.traces] == [1, 1]


def row(**changes: int) -> bytes:
    """The row of the one message that `report_wire` traces, with a number changed."""
    numbers = {"channel": 0, "epoch": 1, "seq": 0, "expected": 4, "size": 3, "low": NS_PER_MS, "high": 3 * NS_PER_MS}
    assert len(numbers) == len(TRACE_ROW)
    return array("q", (numbers | changes).values()).tobytes()


NO_NUMBERS: list[Any] = [None, "1", 1.5, True, [], -1, 1 << 70]
NO_OBJECTS = [None, 1, "x", [1]]
NO_LISTS: list[Any] = [None, 1, "ab", {}]
COUNTS = [*NO_OBJECTS, {"x": -1}, {"x": "1"}, {"x": 1.0}, {"x": True}, {str(n): 1 for n in range(257)}]
HISTOGRAMS = [*NO_OBJECTS, {}, {"i": [3], "n": [1]}, {"i": b"\x03\x00", "n": b"\x01", "min": 9, "max": 1}]
EMPTY: dict[str, Any] = {"i": b"", "n": b""}
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
    (("others",), "others", NO_LISTS),
    (("others", 0), "others of an event", [None, 1, [], ["deploy"], ["deploy", {}, 1]]),
    (("others", 0, 1), "bystanders", [*NO_OBJECTS, {}]),
    (("others", 0, 1, "judged"), "bystanders judged", [*NO_NUMBERS, 4]),
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
    ((*HERD, "ledger", "seconds"), "seconds", [*NO_OBJECTS, {n: [0, 0, 0, EMPTY] for n in range(4_001)}]),
    ((*HERD, "ledger", "seconds", 1_000), "second", [*NO_LISTS, [1, 2, 3], [1, 2, 3, {}], [1, -2, 3, EMPTY]]),
    ((*HERD, "ledger", "seconds", "x"), "second", [[0, 0, 0, EMPTY]]),
    ((*HERD, "ledger", "seconds", "\u00b2"), "second", [[0, 0, 0, EMPTY]]),
    ((*HERD, "ledger", "seconds", "9" * 5_000), "second", [[0, 0, 0, EMPTY]]),
    ((*HERD, "ledger", "seconds", 1_004), "second", [[0, 0, 0, EMPTY]]),  # after the report itself
    ((*HERD, "ledger", "traces"), "traces", [None, 1, "ab", [], {}]),
    ((*HERD, "ledger", "traces", "rows"), "traces", [None, [], "ab", b"1234567", bytes(56 * (MOST_TRACES + 1))]),
    (
        (*HERD, "ledger", "traces", "rows"),
        "traces",
        [b"", b"\xff" * 56, row(size=2), row(size=4), row(low=0), row(high=0)],
    ),
    ((*HERD, "ledger", "traces", "rows"), "traces", [row(expected=-1), row(channel=1 << 60), row(size=1 << 50)]),
    ((*HERD, "ledger", "traces", "i"), "traces", [None, [1], b"", b"1", b"\x03\x00\x02\x00\x04\x00", b"\xff" * 6]),
    ((*HERD, "ledger", "traces", "n"), "traces", [None, [1], b"", b"\x01\x00\x01", bytes(24), b"\x01\x01"]),
    (("herds", 1, "account"), "account", NO_OBJECTS),
    (("herds", 1, "account", "ack"), "ack", HISTOGRAMS),
]
CASES = [(path, name, value) for path, name, values in MALFORMED for value in values]


@pytest.mark.parametrize(("path", "name", "value"), CASES, ids=[f"{'.'.join(map(str, p))[:60]}" for p, _, _ in CASES])
def test_a_malformed_key_is_refused_by_name_and_nothing_is_counted(
    path: tuple[str | int, ...], name: str, value: Any
) -> None:
    wire = report_wire(outages={"deploy": [curve_wire()]}, others=others_wire())
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
    wire = report_wire(outages={"deploy": [curve_wire()]}, others=others_wire())
    inner: Any = wire
    for key in path[:-1]:
        inner = inner[key]
    if isinstance(path[-1], int) or path == ("outages", "deploy"):
        return  # an entry less is a shorter report
    del inner[path[-1]]
    with pytest.raises(ValueError):
        WorkerReport.read(wire)


def test_traces_without_a_copy_stand_beside_others() -> None:
    empty, one, two = histogram(), histogram(7), histogram(3, 9)
    read = Traces.read(traces_wire((0, 1, 0, 5, empty), (0, 1, 1, 5, two), (0, 1, 2, 5, empty), (2, 1, 0, 5, one)))
    assert [(trace.message, trace.counts.sum()) for trace in read] == [
        ((0, 1, 0), 0), ((0, 1, 1), 2), ((0, 1, 2), 0), ((2, 1, 0), 1),
    ]  # fmt: skip
    assert len(Traces.read(traces_wire((0, 1, 0, 5, empty)))) == 1
    assert len(Traces.read(traces_wire())) == 0


@pytest.mark.parametrize("wire", [None, 1, "report", [], [1, 2], b"x"])
def test_what_is_no_object_is_no_report(wire: object) -> None:
    with pytest.raises(ValueError, match="report must be an object"):
        WorkerReport.read(wire)


def snapshot(books: Books) -> list[Any]:
    """All that a merge may change, `rejected` apart."""
    curves = {
        name: (event.curve.as_curve(), event.lost, event.others.figures(None)) for name, event in books.events.items()
    }
    figures = [books.fanout_figures(), books.connection_figures(None, None), books.generator_figures(0)]
    figures[2].pop("reports_rejected")
    return [curves, figures, dict(books.workers), vars(books.total), books._seconds, vars(books.interval)]
