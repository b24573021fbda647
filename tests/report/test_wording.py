from __future__ import annotations

import pytest

from loadtest.report import wording as w


@pytest.mark.parametrize(
    ("share", "written"),
    [
        (0.0, "0 %"),
        (1.0, "100 %"),
        (0.5, "50 %"),
        (0.882, "88.2 %"),
        (0.99996, "99.996 %"),
        (0.99987, "99.987 %"),
        (0.9999999, "99.99999 %"),
        (1 - 1e-12, "over 99.999999 %"),
        (1e-4, "0.01 %"),
        (1e-12, "under 0.000001 %"),
        (1.2, "120 %"),
        (None, "not measured"),
    ],
)
def test_percent_never_rounds_to_all_or_nothing(share: float | None, written: str) -> None:
    assert w.percent(share) == written


@pytest.mark.parametrize(
    ("value_s", "written"),
    [
        (0.0, "0 s"),
        (0.42, "0.42 s"),
        (32.1, "32.1 s"),
        (99.96, "100 s"),
        (200.0, "3 min 20 s"),
        (25_500.0, "7 h 05 min"),
        (None, "not measured"),
    ],
)
def test_seconds_choose_the_unit_of_a_reader(value_s: float | None, written: str) -> None:
    assert w.seconds(value_s) == written


@pytest.mark.parametrize(
    ("value_ms", "written"),
    [(0.204, "0.204 ms"), (12.74, "12.7 ms"), (250.0, "250 ms"), (1250.0, "1.25 s"), (0.0, "0 ms")],
)
def test_milliseconds_become_seconds_from_a_thousand(value_ms: float, written: str) -> None:
    assert w.milliseconds(value_ms) == written


def test_elapsed_has_fixed_digits() -> None:
    assert [w.elapsed(value_s) for value_s in (0, 27.9, 100, 3725)] == ["0:00", "0:27", "1:40", "1:02:05"]


def test_plain_makes_terminal_control_visible_and_keeps_one_line() -> None:
    shown = w.plain("a\x1b[31mred\x07\nsecond\u202etxt")
    assert shown == "a\ufffd[31mred\ufffd second\ufffdtxt"
    assert len(w.plain("x" * 1000, 50)) == 50


@pytest.mark.parametrize("value", [None, True, "5", float("nan"), float("inf"), {}, []])
def test_number_takes_finite_numbers_only(value: object) -> None:
    assert w.number({"a": {"b": value}}, "a", "b") is None


@pytest.mark.parametrize("source", [None, 5, [], {}, {"a": None}, {"a": 3}])
def test_dig_into_what_is_not_there_is_none(source: object) -> None:
    assert w.dig(source, "a", "b") is None


def test_recovered_tells_null_from_missing() -> None:
    recovery = {"t_sub_s": {"50": 1.5, "99": None}}
    assert w.recovered(recovery, "t_sub_s", "50") == "1.5 s"
    assert w.recovered(recovery, "t_sub_s", "99") == "not recovered"
    assert w.recovered(recovery, "t_sub_s", "100") == "not measured"
    assert w.recovered(None, "t_rec_s") == "not measured"


@pytest.mark.parametrize(
    ("expr", "value", "verdict", "written"),
    [
        ("fanout.latency.p99 < 250ms", 12.7, "PASS", "12.7 ms"),
        ("events.deploy.t_sub.99.9 < 60s", 5.39, "PASS", "5.39 s"),
        ("events.deploy.t_sub.99.9 < 60s", None, "FAIL", "not recovered"),
        ("events.deploy.t_sub.99.9 < 60s", None, "NO_DATA", "no data"),
        ("fanout.latency.p99 < 250ms", None, "NO_DATA", "no data"),
        ("delivery.loss == 0", 0.00012, "FAIL", "0.012 %"),
        ("delivery.lost == 0", 12, "FAIL", "12"),
        ("generator.cpu_max < 90%", 61.0, "PASS", "61 %"),
        ("events.deploy.amplification < 3", 1.368, "PASS", "1.37 x"),
        ("metric.of.tomorrow < 3", 2.5, "PASS", "2.5"),
    ],
)
def test_threshold_value_has_the_unit_of_its_metric(expr: str, value: float | None, verdict: str, written: str) -> None:
    assert w.threshold_value(expr, value, verdict) == written


def test_moment_is_utc_and_other_text_stays() -> None:
    assert w.moment("2026-03-01T13:00:00.25+01:00") == "2026-03-01 12:00:00 UTC"
    assert w.moment("<yesterday>") == "<yesterday>"
