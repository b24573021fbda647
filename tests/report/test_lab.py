"""The storm lab: versions at one storm number side by side, a sweep against the model's curve, faults beside it."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from loadtest.cli import app
from loadtest.errors import UsageError
from loadtest.model.scaling import prediction_facts, ratios, scale_facts
from loadtest.model.simulation import predict
from loadtest.model.storm import Storm
from loadtest.report.data import ReportData
from loadtest.report.lab import Lab, fault_rows, sentence, sweep_rows, tell, version_rows
from loadtest.report.lab_html import render_lab
from loadtest.report.lab_markdown import write_lab_markdown

from .synthetic import make_data, write_folder
from .test_html import HOSTILE, Page

PROFILE = """
duration = "10s"
[target]
stack = "reference"
version = "sync"
[scale]
clients = 1_000_000
capacity = "8000/s"
steady_share = "30%"
[population]
connections = 1000
"""


def scaled(version: str, capacity_per_s: float = 8000.0, time: float = 60.0, scale: float = 1.0) -> ReportData:
    """The synthetic run, as if it spoke for a million clients."""
    real = Storm(1e6, 20.0, capacity_per_s, steady_share=0.3)
    data = make_data(scale, version)
    facts = scale_facts(real, 1000, time, data.run["events"])
    prediction = prediction_facts(real, predict(real))
    prediction["measured_to_predicted"] = ratios(facts, prediction)
    return replace(data, run={**data.run, "scale": facts, "prediction": prediction}, profile_text=PROFILE)


@pytest.fixture(scope="module")
def datas() -> list[ReportData]:
    return [
        scaled("sync", scale=2.7),
        scaled("sync", 12_000.0),
        scaled("sync", 8000.0, time=30.0),
        scaled("bifrost-2"),
    ]


@pytest.fixture(scope="module")
def lab(datas: list[ReportData]) -> Lab:
    return tell(datas)


def test_versions_are_those_against_the_common_capacity(datas: list[ReportData], lab: Lab) -> None:
    assert lab.number == pytest.approx(5.0)
    assert [(one.version, one.time) for one in lab.versions] == [("sync", 60.0), ("bifrost-2", 60.0)]
    row = version_rows(lab)[0]
    back_s = datas[0].run["events"][0]["recovery"]["t_sub_s"]["99"] * 60
    assert row[:2] == ["sync", f"{back_s // 60:.0f} min {round(back_s) % 60:02d} s"]
    assert float(row[3]) == pytest.approx(back_s / datas[0].run["prediction"]["t_sub_s"]["99"], abs=0.01)
    assert row[-2] == "1,000 at 60 x"


def test_sweep_is_the_version_with_most_runs_by_storm_number_against_the_models_curve(
    datas: list[ReportData], lab: Lab
) -> None:
    assert [(row[0], row[2]) for row in sweep_rows(lab)] == [
        ("3.33", "1,000 at 60 x"),
        ("5", "1,000 at 60 x"),
        ("5", "1,000 at 30 x"),
    ]
    times = [back_s or 0.0 for _, back_s in lab.model]
    assert times == sorted(times)
    assert dict(lab.model)[5.0] == pytest.approx(datas[0].run["prediction"]["t_sub_s"]["99"], rel=0.01)


def test_sentence_names_every_version(lab: Lab) -> None:
    told = sentence(lab)
    assert told.startswith("1,000,000 clients, all dropped at once; 99 % of them were back after: sync ")
    assert ", bifrost-2 " in told


def test_events_beside_the_storm_say_what_they_closed_and_lost(datas: list[ReportData]) -> None:
    run: dict[str, Any] = dict(datas[3].run)
    broker = {**run["events"][0], "name": "broker", "dropped": 0}
    broker["recovery"] = {**broker["recovery"], "secondary_drops": 0, "lost": 17}
    stranger = {**broker, "name": "unannounced-1", "announced": False}
    with_broker = replace(datas[3], run={**run, "events": [run["events"][0], broker, stranger]})
    (row,) = fault_rows(tell([datas[0], with_broker]))
    assert row[:4] == ["bifrost-2", "broker", "0", "17"]
    broker["recovery"] |= {"blast_radius": 0.0, "others_p99_ratio": 1.25}
    (row,) = fault_rows(tell([datas[0], with_broker]))
    assert row[5:] == ["0 %", "1.25 x"]


def test_page_draws_measurement_and_prediction(lab: Lab) -> None:
    page = Page(render_lab(lab))
    names = [trace["name"] for trace in page.figures["lab-curves"]["traces"]]
    assert names == ["sync", "sync, predicted", "bifrost-2", "bifrost-2, predicted"]
    sweep = page.figures["lab-sweep"]["traces"]
    assert [trace["name"] for trace in sweep] == [
        "the model",
        "measured, 1,000 at 60 x",
        "measured, 1,000 at 30 x",
    ]
    assert len(sweep[1]["x"]) == 2


def test_hostile_version_stays_text(datas: list[ReportData]) -> None:
    hostile, calm = (Page(render_lab(tell([datas[0], scaled(name)]))) for name in (HOSTILE, "calm"))
    assert [tag for tag, _ in hostile.elements] == [tag for tag, _ in calm.elements]


def test_markdown_holds_the_same_rows(lab: Lab) -> None:
    writer = io.StringIO()
    write_lab_markdown(lab, writer)
    assert "| sync | " in writer.getvalue()
    assert "1,000 at 30 x" in writer.getvalue()


def test_command_writes_the_page_and_the_markdown_beside_it(datas: list[ReportData], tmp_path: Path) -> None:
    folders = [write_folder(tmp_path / name, data) for name, data in (("a", datas[0]), ("b", datas[3]))]
    done = CliRunner().invoke(app, ["report", "--lab", *map(str, folders), "--out", str(tmp_path / "story.html")])
    assert done.exit_code == 0, done.output
    assert "bifrost-2" in (tmp_path / "story.html").read_text()
    assert "| bifrost-2 |" in (tmp_path / "story.md").read_text()


def test_run_that_speaks_for_itself_has_no_place_here(datas: list[ReportData]) -> None:
    with pytest.raises(UsageError, match=r"without \[scale\]"):
        tell([datas[0], make_data()])
    quiet = replace(datas[0], run={**datas[0].run, "events": []})
    with pytest.raises(UsageError, match="none of these runs"):
        tell([quiet])
