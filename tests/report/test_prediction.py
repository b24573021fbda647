"""A scaled storm in page and terminal: real time and prediction beside what was measured; silence without [scale]."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from loadtest.model.planning import Plan
from loadtest.model.scaling import prediction_facts, ratios, scale_facts, shrink
from loadtest.model.simulation import predict
from loadtest.model.storm import Storm
from loadtest.report.data import ReportData
from loadtest.report.forecast import CURVE_ROWS, curve, print_forecast
from loadtest.report.html import render
from loadtest.report.prediction import in_real_time, key_figures, prediction_chart, rows
from loadtest.report.terminal import print_summary

REAL = Storm(1e6, 20.0, 8000.0, steady_share=0.3)


@pytest.fixture
def scaled(data: ReportData) -> ReportData:
    """The synthetic run, as if it spoke for a million clients at 60 times the speed."""
    facts = scale_facts(REAL, 1000, 60.0, data.run["events"])
    prediction = prediction_facts(REAL, predict(REAL))
    prediction["measured_to_predicted"] = ratios(facts, prediction)
    return replace(data, run={**data.run, "scale": facts, "prediction": prediction})


def test_rows_hold_here_real_predicted_and_ratio(scaled: ReportData) -> None:
    recovery = scaled.run["events"][0]["recovery"]
    row = next(row for row in rows(scaled.run) if row[0].startswith("99 % after"))
    factor = recovery["t_sub_s"]["99"] * 60 / scaled.run["prediction"]["t_sub_s"]["99"]
    assert len(row) == 5
    assert row[4] == f"{factor:.2f}"


def test_not_recovered_is_said_and_no_ratio_guessed(scaled: ReportData) -> None:
    scaled.run["scale"]["events"][0]["t_sub_s"]["99"] = None
    scaled.run["prediction"]["measured_to_predicted"] = {}
    row = next(row for row in rows(scaled.run) if row[0].startswith("99 % after"))
    assert (row[2], row[4]) == ("not recovered", "not measured")


def test_page_and_terminal_show_the_real_system(scaled: ReportData) -> None:
    page = render(scaled)
    assert "The real system" in page
    assert "1,000 connections stand for 1,000,000 clients" in page
    assert "predicted" in page
    screen = io.StringIO()
    print_summary(scaled.run, Console(file=screen, width=120, color_system=None), None)
    assert "Real system: 99 % back after deploy" in screen.getvalue()
    chart = prediction_chart(scaled)
    assert chart is not None
    assert [trace["name"] for trace in chart.traces][-1] == "predicted"


def test_run_without_scale_says_nothing_of_it(data: ReportData) -> None:
    assert key_figures(data.run) == []
    assert prediction_chart(data) is None
    assert "The real system" not in render(data)


def test_forecast_prints_both_systems_the_curve_and_the_plan() -> None:
    screen = io.StringIO()
    console = Console(file=screen, width=100, color_system=None)
    print_forecast(
        console, "story [x]", REAL, shrink(REAL, 1000, 60.0), 60.0, predict(REAL), [Plan(900, "99", 8705.4, 4.59)]
    )
    text = screen.getvalue()
    for words in ("story [x]", "333 ms", "8,000 connects/s", "480 connects/s", "8,705 connects/s (S = 4.59)"):
        assert words in text, words


def test_curve_ends_with_nearly_everybody() -> None:
    lines = curve(predict(REAL))
    assert len(lines) == CURVE_ROWS
    assert float(lines[-1].split()[-2]) > 90


@pytest.mark.parametrize("run", [{"scale": {"time": 60}}, {"scale": {"time": 60, "events": [{}]}, "prediction": None}])
def test_torn_figures_do_not_fail(run: dict[str, Any]) -> None:
    assert isinstance(render(ReportData(run)), str)


def test_side_by_side_a_scaled_run_is_told_in_real_time(scaled: ReportData, data: ReportData) -> None:
    real = in_real_time(scaled)
    before, after = scaled.run["events"][0]["recovery"], real.run["events"][0]["recovery"]
    assert after["t_sub_s"]["99"] == before["t_sub_s"]["99"] * 60
    assert after["outage_s_mean"] == pytest.approx(before["outage_s_mean"] * 60)
    assert after["attempts"] == before["attempts"]
    assert real.curves["deploy"]["t_s"][-1] == pytest.approx(scaled.curves["deploy"]["t_s"][-1] * 60)
    assert in_real_time(data) is data
