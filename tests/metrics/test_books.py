from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.clock import NS_PER_MS, NS_PER_S
from loadtest.metrics.books import REMEMBERED_S, STATES, Books
from loadtest.metrics.event import Event
from loadtest.metrics.histogram import Histogram
from loadtest.metrics.ledger import GRACE_NS
from loadtest.metrics.recovery import RecoveryCurve
from loadtest.metrics.service_recovery import ServiceRecovery
from tests.metrics.wires import T, ledger_wire, report_wire, traces_wire

D = NS_PER_S
SETTLE_S = 6  # deadline 1 s, grace 2 s, report lag 3 s


def books(target: int = 400, window_s: float = 3) -> Books:
    return Books(target, T, D, ServiceRecovery(window_s))


def curve_wire(t0_ns: int, population: int, dropped: int, back: int = 0) -> dict[str, Any]:
    curve = RecoveryCurve(t0_ns, population)
    for delta, at in ((-dropped, t0_ns), (back, t0_ns + NS_PER_S)):
        curve.connected(at, delta)
        curve.subscribed(at, delta)
    curve.primary_drop(t0_ns, dropped)
    return curve.take()


# --- merging ---------------------------------------------------------------------------------------------------------


reports = st.lists(
    st.tuples(
        st.integers(0, 4),
        st.integers(0, 9),
        st.lists(st.integers(1, 400).map(float), max_size=5),
        st.integers(0, 2),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda row: row[0],
)


@settings(max_examples=60, deadline=None)
@given(reports, st.randoms(use_true_random=False))
def test_the_order_of_merging_does_not_matter(rows: list[tuple[int, int, list[float], int, int]], rng: Any) -> None:
    wires = [
        report_wire(
            worker,
            subscribed=subscribed,
            ledger=ledger_wire(second, values, missing),
            outages={"deploy": [curve_wire(T, 4, missing + 1)]},
            first_drop_ns=T + second,
            t_ns=T + 12 * NS_PER_S,
        )
        for worker, subscribed, values, missing, second in rows
    ]
    shuffled = rng.sample(wires, len(wires))
    results = []
    for order in (wires, shuffled):
        master = books()
        event = master.open_event("deploy", "deploy", T)
        for wire in order:
            master.merge(wire)
        line = master.line(T + 12 * NS_PER_S, "hold")
        master.finish(T + 13 * NS_PER_S)
        curve, run = event.curve.as_curve(), master.fanout_figures() | master.generator_figures(0.0)
        figures = run | master.connection_figures(1.0, None) | master.event_figures(event, T, T)
        results.append([line, figures, curve, master.latencies, master.total.uncorrected])
    assert results[0] == results[1]


def test_figures_are_sums_over_workers_and_reports() -> None:
    master = books()
    for seq in (1, 2):
        for worker in (0, 1):
            master.merge(report_wire(worker, seq, ledger=ledger_wire(seq, (1, 2, 3), 1)))
    figures = master.fanout_figures()
    assert (figures["expected"], figures["delivered"], figures["lost"], figures["published"]) == (16, 12, 4, 20)
    assert figures["completeness"] == 0.75
    assert figures["by_class"]["throughout"] == {"expected": 16, "delivered": 12, "lost": 4}
    assert figures["latency_ms"]["count"] == figures["uncorrected_ms"]["count"] == 12
    assert figures["imbalance"] == 0
    assert master.subscribed == 8  # a gauge: the last word of each
    assert master.connections() == {"idle": 2, "subscribed": 8}


@pytest.mark.parametrize("again", [1, 2])
def test_a_report_merged_before_is_refused(again: int) -> None:
    master = books()
    master.merge(report_wire(0, 2))
    before = master.fanout_figures()
    with pytest.raises(ValueError, match=f"worker 0: report {again} after 2"):
        master.merge(report_wire(0, again))
    assert master.fanout_figures() == before
    assert master.rejected == master.generator_figures(0)["reports_rejected"] == 1


def test_an_event_nobody_opened_refuses_the_report_whole() -> None:
    master = books()
    event = master.open_event("a", "drop", T)
    with pytest.raises(ValueError, match="no such event 'b'"):
        master.merge(report_wire(outages={"a": [curve_wire(T, 4, 2)], "b": [curve_wire(T, 4, 2)]}))
    assert (event.curve.population, master.workers, master.total.published) == (0, {}, 0)


def test_a_lost_workers_connections_are_struck_off_for_good() -> None:
    master = books()
    for worker in (0, 1):
        master.merge(report_wire(worker, subscribed=100))
    assert master.lose(0) == 100
    assert (master.subscribed, master.line(T, "hold")["workers"]) == (100, 1)
    master.merge(report_wire(0, 2, subscribed=100))  # it was only slow: what it counted counts, what it holds does not
    assert (master.subscribed, master.total.published) == (100, 15)
    assert master.lose(7) == 0
    assert master.generator_figures(0)["workers_lost"] == 2


# --- the interval line -----------------------------------------------------------------------------------------------

LINE = {
    "t_s": None,
    "phase": None,
    "workers": None,
    "target": None,
    "connections": dict.fromkeys(STATES),
    "attempts": None,
    "connected": None,
    "subscribed": None,
    "drops": None,
    "failures": {"refused": None},
    "connect_ms": dict.fromkeys(("count", "p50", "p90", "p99", "max")),
    "fanout": dict.fromkeys(("published", "delivered", "p50_ms", "p90_ms", "p99_ms", "max_ms")),
    "ttk": {"traced": None, "never": dict.fromkeys(("50", "99", "100"))},
    "delivery": dict.fromkeys(("expected", "delivered", "lost", "duplicated", "reordered")),
    "generator": dict.fromkeys(
        ("lateness_p99_ms", "loop_lag_p99_ms", "receive_queue_p99_ms", "cpu_max_percent", "rss_bytes")
    ),
    "events": [dict.fromkeys(("name", "at_s", "population", "connected", "subscribed", "dropped"))],
}
"""The keys of intervals.jsonl; `log` is the recorder's."""


def keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: keys(inner) for key, inner in value.items()}
    return [keys(inner) for inner in value] if isinstance(value, list) else None


def test_a_line_has_the_keys_of_the_interval_log() -> None:
    master = books()
    master.open_event("deploy", "deploy", T + NS_PER_S // 2)
    master.merge(report_wire(outages={"deploy": [curve_wire(T, 4, 3, 2)]}))
    line = master.line(T + 1_500 * NS_PER_MS, "hold")
    assert keys(line) == LINE
    assert (line["t_s"], line["phase"], line["target"], line["workers"]) == (1.5, "hold", 400, 1)
    assert line["connections"] == dict.fromkeys(STATES, 0) | {"idle": 1, "subscribed": 4}
    assert line["connect_ms"] == {"count": 1, "p50": 7.0, "p90": 7.0, "p99": 7.0, "max": 7.0}
    assert line["fanout"] == {
        "published": 5,
        "delivered": 3,
        "p50_ms": pytest.approx(2, rel=1e-3),
        "p90_ms": 3.0,
        "p99_ms": 3.0,
        "max_ms": 3.0,
    }
    assert line["delivery"] == {"expected": 4, "delivered": 3, "lost": 1, "duplicated": 0, "reordered": 0}
    assert line["events"] == [
        {"name": "deploy", "at_s": 0.5, "population": 4, "connected": 3, "subscribed": 3, "dropped": 3}
    ]


def test_a_second_without_reports_has_no_percentiles_and_no_counts() -> None:
    master = books()
    master.merge(report_wire())
    master.line(T + NS_PER_S, "hold")
    line = master.line(T + 2 * NS_PER_S, "hold")
    assert line["connect_ms"] == {"count": 0, "p50": None, "p90": None, "p99": None, "max": None}
    assert line["fanout"]["p99_ms"] is line["generator"]["lateness_p99_ms"] is None
    assert (line["attempts"], line["failures"], line["delivery"]["expected"]) == (0, {}, 0)
    assert line["connections"]["subscribed"] == 4


# --- mass disconnects ------------------------------------------------------------------------------------------------


def dropped(master: Books, seq: int, drops: int, first_ns: int) -> None:
    master.merge(report_wire(0, seq, counts={"drops": drops}, first_drop_ns=first_ns))


@pytest.mark.parametrize(("drops", "opens"), [(4, False), (5, True), (400, True)])
def test_more_than_one_percent_inside_one_interval_is_an_event(drops: int, opens: bool) -> None:
    master = books(400)
    dropped(master, 1, drops, T + 77)
    assert master.unexplained_drop_ns() == (T + 76 if opens else None)


@pytest.mark.parametrize(("drops", "opens"), [(1, False), (2, True)])
def test_one_client_is_never_a_mass(drops: int, opens: bool) -> None:
    master = books(3)
    dropped(master, 1, drops, T + 77)
    assert (master.unexplained_drop_ns() is not None) == opens


def test_drops_of_two_intervals_are_not_added_up() -> None:
    master = books(400)
    for seq in (1, 2, 3):
        dropped(master, seq, 3, T + seq)
        assert master.unexplained_drop_ns() is None
        master.line(T + seq * NS_PER_S, "hold")


def test_the_first_drop_of_all_workers_begins_the_event() -> None:
    master = books(400)
    for worker, first_ns in ((0, T + 9), (1, T + 5), (2, 0), (3, T + 7)):
        master.merge(report_wire(worker, counts={"drops": 4}, first_drop_ns=first_ns))
    assert master.unexplained_drop_ns() == T + 4


@pytest.mark.parametrize(("t0_ns", "explained"), [(T, True), (T + NS_PER_S, True), (T + NS_PER_S + 78, False)])
def test_an_event_that_has_begun_and_not_recovered_explains_drops(t0_ns: int, explained: bool) -> None:
    master = books(400)
    master.open_event("deploy", "deploy", t0_ns)
    dropped(master, 1, 400, T + 77)
    assert (master.unexplained_drop_ns() is None) == explained


def test_a_recovered_event_explains_nothing_more() -> None:
    master = books(400)
    master.open_event("deploy", "deploy", T)
    master.merge(report_wire(outages={"deploy": [curve_wire(T, 4, 4, 3)]}))
    assert master.close_events(T) == []
    master.merge(report_wire(1, outages={"deploy": [curve_wire(T, 5, 0, 1)]}))
    assert [event.name for event in master.close_events(T)] == ["deploy"]
    assert master.close_events(T) == []
    dropped(master, 2, 400, T + 3 * NS_PER_S)
    assert master.unexplained_drop_ns() == T + 3 * NS_PER_S - 1


def test_an_event_whose_fault_is_at_work_is_not_over_and_explains_drops_though_all_are_back() -> None:
    master = books(400)
    event = master.open_event("rollout", "rollout", T)
    event.at_work = True
    master.merge(report_wire(outages={"rollout": [curve_wire(T, 4, 4, 4)]}))
    assert master.close_events(T + 9 * NS_PER_S) == []
    dropped(master, 2, 400, T + 9 * NS_PER_S)
    assert master.unexplained_drop_ns() is None
    event.applied(T + 10 * NS_PER_S)
    assert event.explains(T + 14 * NS_PER_S), "those who were told to go last"
    assert not event.explains(T + 16 * NS_PER_S)
    assert master.close_events(T + 16 * NS_PER_S) == [event]


def test_an_event_that_dropped_nobody_is_over_after_half_a_minute() -> None:
    master = books()
    master.open_event("command", "command", T)
    master.merge(report_wire(outages={"command": [RecoveryCurve(T, 4).take()]}))
    assert master.close_events(T + 30 * NS_PER_S) == []
    assert [event.name for event in master.close_events(T + 30 * NS_PER_S + 1)] == ["command"]
    dropped(master, 2, 400, T + 31 * NS_PER_S)
    assert master.unexplained_drop_ns() == T + 31 * NS_PER_S - 1


# --- figures of an event ---------------------------------------------------------------------------------------------


def second_wire(second: int, p99_ms: float, expected: int, lost: int) -> dict[str, Any]:
    latencies = Histogram()
    if expected > lost:
        latencies.record(round(p99_ms * NS_PER_MS), expected - lost)
    wire = ledger_wire()
    wire["counts"] = {"expected": expected, "delivered": expected - lost, "lost": lost}
    wire["seconds"] = {T // NS_PER_S + second: [expected, expected - lost, lost, latencies.to_wire()]}
    wire["traces"] = traces_wire()
    return wire


def fed(master: Books, seconds: list[tuple[float, int, int]]) -> None:
    for second, (p99_ms, expected, lost) in enumerate(seconds):
        report = report_wire(
            0, second + 1, ledger=second_wire(second, p99_ms, expected, lost), t_ns=T + (second + 3) * NS_PER_S
        )
        master.merge(report)
        master.line(T + (second + 3) * NS_PER_S, "hold")


def test_service_recovery_and_losses_of_an_event_come_from_the_seconds_fed() -> None:
    master = books(400, window_s=3)
    master.publishing_from(T)
    event = master.open_event("deploy", "deploy", T + 10_300 * NS_PER_MS)
    good, bad, lossy = (5.0, 100, 0), (90.0, 100, 0), (5.0, 100, 1)
    fed(master, [good] * 9 + [lossy] + [(5.0, 100, 4), bad, lossy] + [good] * 12)
    master.merge(report_wire(1, outages={"deploy": [curve_wire(event.t0_ns, 4, 4, 4)]}))
    master.finish(T + 30 * NS_PER_S)
    figures = master.event_figures(event, T + 30 * NS_PER_S, T)
    assert (figures["name"], figures["kind"], figures["announced"]) == ("deploy", "deploy", True)
    assert (figures["at_s"], figures["population"], figures["dropped"]) == (10.3, 4, 4)
    assert figures["recovery"]["t_svc_s"] == pytest.approx(13 - 10.3)
    assert figures["recovery"]["t_rec_s"] == pytest.approx(13 - 10.3)  # later than T_sub(99), 1 s
    assert figures["recovery"]["t_sub_s"]["99"] == 1.0
    assert figures["recovery"]["lost"] == 1 + 4 + 1  # second 9 is less than half a second before t0
    assert master.event_figures(event, T + 30 * NS_PER_S, None)["recovery"]["t_svc_s"] is None


def test_blast_radius_and_what_the_others_felt_are_figures_of_an_event() -> None:
    master = books(400)
    event = master.open_event("node", "kill", T)
    told = {"clients": 9, "judged": 6, "degraded": 2, "seconds": {}}
    for second in range(-6, 6):
        latencies = Histogram()
        latencies.record((5 if second < 0 else 6) * NS_PER_MS, 100)
        told["seconds"][second] = [0, latencies.to_wire()]
    for worker, dropped in ((0, 1), (1, 3)):
        master.merge(report_wire(worker, outages={"node": [curve_wire(T, 20, dropped)]}, others=[["node", told]]))
    recovery = master.event_figures(event, T + 30 * NS_PER_S, T)["recovery"]
    assert recovery["blast_radius"] == 0.1
    assert recovery["degraded"] == pytest.approx(0.9 * 4 / 12)
    assert recovery["others_p99_ratio"] == pytest.approx(1.2, rel=2e-3)
    assert (recovery["others"]["clients"], recovery["others"]["before_ms"]["count"]) == (18, 1200)


def test_others_of_an_event_that_nobody_opened_are_refused() -> None:
    master = books()
    with pytest.raises(ValueError, match="no such event 'x'"):
        master.merge(report_wire(others=[["x", {"clients": 0, "judged": 0, "degraded": 0, "seconds": {}}]]))
    assert master.rejected == 1


@pytest.mark.parametrize(("until_s", "t_svc_s"), [(30, None), (12, None), (11, 0.0)])
def test_seconds_without_messages_are_bad_only_while_publishes_are_due(until_s: int, t_svc_s: float | None) -> None:
    master = books(400, window_s=3)
    master.publishing_from(T)
    master.publishing_until(T + until_s * NS_PER_S)
    master.publishing_until(T + 50 * NS_PER_S)  # the first end stands
    event = master.open_event("deploy", "deploy", T + 10 * NS_PER_S)
    fed(master, [(5.0, 100, 0)] * 11 + [(0.0, 0, 0)] * 12)
    master.finish(T + 30 * NS_PER_S)
    assert master.event_figures(event, T + 30 * NS_PER_S, T)["recovery"]["t_svc_s"] == t_svc_s


@pytest.mark.parametrize(("silence_s", "t_svc_s"), [(0.5, 3.0), (2.0, 3.0), (2.5, 0.0), (10.0, 0.0)])
def test_a_schedule_of_less_than_one_a_second_may_be_silent_as_long_as_it_says(
    silence_s: float, t_svc_s: float
) -> None:
    master = books(400, window_s=3)
    master.publishing_from(T, silence_s)
    event = master.open_event("deploy", "deploy", T + 10 * NS_PER_S)
    good, silent = (5.0, 100, 0), (0.0, 0, 0)
    fed(master, [good] * 11 + [silent] * 2 + [good] * 12)
    master.finish(T + 30 * NS_PER_S)
    assert master.event_figures(event, T + 30 * NS_PER_S, T)["recovery"]["t_svc_s"] == t_svc_s


def test_a_report_whose_own_numbers_do_not_add_up_unbalances_the_books() -> None:
    master = books()
    wire = second_wire(1, 5.0, 100, 1)
    wire["counts"]["lost"] = 0
    master.merge(report_wire(ledger=wire))
    assert master.fanout_figures()["imbalance"] == 1


@pytest.mark.parametrize(("opened_after_s", "lost"), [(1, 3), (REMEMBERED_S // 2, 3)])
def test_losses_before_an_event_was_told_of_are_still_charged_to_it(opened_after_s: int, lost: int) -> None:
    master = books()
    fed(master, [(5.0, 100, 1)] * 5 + [(5.0, 100, 0)] * opened_after_s)
    assert master.open_event("late", "unannounced", T + 2_600 * NS_PER_MS, announced=False).lost == lost


def test_a_report_that_comes_after_its_second_was_settled_still_counts_in_the_totals() -> None:
    master = books()
    master.line(T + 60 * NS_PER_S, "hold")
    master.merge(report_wire(ledger=second_wire(1, 5.0, 100, 1), t_ns=T + 61 * NS_PER_S))
    assert (master.fanout_figures()["expected"], master.latencies.count, master._seconds) == (100, 99, {})


# --- long runs -------------------------------------------------------------------------------------------------------


def test_eight_hours_of_lossy_seconds_take_the_memory_of_a_minute() -> None:
    hours, step = 8 * 3600, 8  # eight seconds to a report, for the test's sake
    master = books(400, window_s=10)
    master.publishing_from(T)
    master.open_event("deploy", "deploy", T + 5 * NS_PER_S)
    latency = Histogram()
    latency.record(5 * NS_PER_MS, 9)
    wire = report_wire(ledger=second_wire(0, 5.0, 10, 1))
    ledger = wire["herds"][0]["ledger"]
    ledger["counts"] = {"expected": 10 * step, "delivered": 9 * step, "lost": step}
    most = 0
    for begin in range(0, hours, step):
        seconds = range(begin, begin + step)
        ledger["seconds"] = {T // NS_PER_S + second: [10, 9, 1, latency.to_wire()] for second in seconds}
        ledger["traces"] = traces_wire(*((0, 1, second, 10, latency) for second in seconds))
        wire["seq"], wire["t_ns"] = begin + 1, T + (begin + step + 1) * NS_PER_S
        master.merge(wire)
        master.line(wire["t_ns"], "hold")
        held: tuple[Any, ...] = (
            master._seconds,
            master._lost_by_second,
            master.time_to_share._open,
            master.latencies.nonzero(),
        )
        most = max(most, *(len(part) for part in held))
    assert most <= REMEMBERED_S + SETTLE_S + 2 * step
    assert master.fanout_figures()["expected"] == 10 * hours
    assert master.events["deploy"].lost == hours - 4  # from second 4 on: 5 s less half a second
    assert master.time_to_share.total.traced >= hours - SETTLE_S - 2 * step
    assert GRACE_NS + D + 3 * NS_PER_S == SETTLE_S * NS_PER_S


def test_a_line_is_quick_after_a_long_run() -> None:
    master = books()
    spread = [0.2 * 1.01**k for k in range(900)]
    for seq in range(1, 40):
        master.merge(report_wire(0, seq, ledger=ledger_wire(0, spread, 0), t_ns=T + seq * NS_PER_S))
    began = time.process_time()
    master.line(T + 40 * NS_PER_S, "hold")
    assert time.process_time() - began < 0.25


def test_event_stops_explaining_when_99_of_100_are_back_though_one_never_returns() -> None:
    second = 1_000_000_000
    curve = RecoveryCurve(100 * second, 1000)
    event = Event("deploy", "deploy", 100 * second, curve)
    assert event.explains(100 * second + 1)
    curve.primary_drop(101 * second, 1000)
    curve.subscribed(101 * second, -1000)
    assert event.explains(120 * second)
    curve.subscribed(121 * second, +989)
    assert event.explains(130 * second)
    curve.subscribed(131 * second, +10)
    assert not event.explains(140 * second)
    assert not event.explains(98 * second)
    event.closed = True
    assert not event.explains(101 * second)
