from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from loadtest.errors import ResultsError
from loadtest.results.folder import RunFolder
from loadtest.results.reader import open_run
from loadtest.results.schema import validate
from loadtest.results.summary import RunFacts, build_summary

from .conftest import latency_of

MANIFEST = {
    "profile": {"name": "deploy-storm", "sha256": "ab"},
    "target": {"url": "ws://127.0.0.1:1/", "dialect": "socketio", "version": "bifrost-1", "nodes": 2},
    "harness": {"version": "0.1.0", "locust": "2", "python": "3.11", "workers": 2, "cores": 2, "kernel": "6"},
    "connections": {"target": 100},
}


def interval(t_s: float, connected: int, dropped: int, **more: Any) -> dict[str, Any]:
    line: dict[str, Any] = {
        "t_s": t_s, "phase": "hold", "workers": 3, "target": 100, "attempts": 10, "failures": {"refused": 1},
        "connections": {"idle": 0, "waiting": 100 - connected, "subscribed": connected},
        "fanout": {"published": 5, "delivered": 450},
        "delivery": {"expected": 500, "delivered": 450, "lost": 50, "duplicated": 1, "reordered": 2},
        "generator": {"cpu_max_percent": 40.0 + t_s},
    }  # fmt: skip
    if dropped:
        line["events"] = [
            {"name": "deploy", "at_s": 2.5, "population": 100, "connected": connected, "subscribed": connected,
             "dropped": dropped},
        ]  # fmt: skip
    return line | more


@pytest.fixture
def finished(folder: RunFolder, facts: RunFacts) -> RunFolder:
    with folder:
        folder.write_manifest(MANIFEST)
        folder.write_profile('name = "deploy-storm"\n')
        folder.append_mark(0, "ramp", "phase")
        folder.append_interval(interval(1, 100, 0))
        folder.append_mark(2.5, "deploy", "deploy", "all-at-once, 2 nodes")
        folder.append_interval(interval(2, 100, 0))
        folder.write_curves({"deploy": {"population": 100, "t_s": [0.0], "connected": [1.0], "subscribed": [1.0]}})
        folder.write_summary(build_summary(facts))
    return folder


@pytest.fixture
def crashed(folder: RunFolder) -> RunFolder:
    """Killed at 6 s: 100 clients, all dropped at 2.5 s, 60 back at 4 s, 99 at 5 s."""
    folder.write_manifest(MANIFEST)
    folder.write_profile('name = "deploy-storm"\n')
    folder.append_mark(2.5, "deploy", "deploy", "all-at-once, 2 nodes")
    for line in (
        interval(1, 100, 0), interval(2, 100, 0), interval(3, 0, 100), interval(4, 60, 100, attempts=200),
        interval(5, 99, 100), interval(6, 99, 100, workers=2),
    ):  # fmt: skip
        folder.append_interval(line)
    folder.append_histograms(0, 3, {"fanout.latency": latency_of(10, 20)})
    folder.append_histograms(3, 3, {"fanout.latency": latency_of(30, 40), "connections.connect": latency_of(5)})
    return folder


def test_a_finished_run_is_read_without_a_warning(finished: RunFolder, facts: RunFacts) -> None:
    for path in (finished.path, str(finished.path), finished.path / "run.json"):
        record = open_run(path)
        assert record.warnings == ()
        assert record.run == record.summary == build_summary(facts)
        assert [line["t_s"] for line in record.intervals] == [1, 2]
        assert [mark["mark"] for mark in record.marks] == ["ramp", "deploy"]
        assert record.curves["deploy"]["population"] == 100
        assert record.manifest["target"]["version"] == "bifrost-1"
        assert record.profile_text == 'name = "deploy-storm"\n'


def test_a_cut_off_last_line_is_a_warning(finished: RunFolder) -> None:
    with (finished.path / "intervals.jsonl").open("a") as file:
        file.write('{"t_s": 3.0, "pha')
    record = open_run(finished.path)
    assert [line["t_s"] for line in record.intervals] == [1, 2]
    assert record.warnings == (
        "intervals.jsonl: the last line is cut off, the writer ended while writing it; it is left out.",
    )


def test_lines_that_cannot_be_read_are_counted(finished: RunFolder) -> None:
    with (finished.path / "intervals.jsonl").open("ab") as file:
        file.write(b'\xff\xfe\n[1]\n{"t_s": null}\n\n{"t_s": 0.5, "phase": "ramp"}\n')
    record = open_run(finished.path)
    assert [line["t_s"] for line in record.intervals] == [0.5, 1, 2]
    assert record.warnings == ("intervals.jsonl: 3 lines could not be read and were left out.",)


def test_a_crashed_run_is_reconstructed_and_fits_the_schema(crashed: RunFolder) -> None:
    record = open_run(crashed.path)
    assert record.summary is None
    assert record.warnings == ("run.json is missing: the run did not end by itself; its summary is reconstructed.",)
    run = record.run
    assert validate(run) == []
    assert run["verdict"] == "interrupted"
    assert run["reasons"] == [
        "The run ended without a summary after 6 s, last seen at 2026-01-17T10:11:18+00:00; this one is reconstructed.",
        "1 worker was lost during the run.",
    ]
    assert (run["run_id"], run["started_at"]) == (crashed.run_id, "2026-01-17T10:11:12.345+00:00")
    assert (run["finished_at"], run["reconstructed"]) == (None, True)
    assert run["profile"] == MANIFEST["profile"]
    assert run["target"] == MANIFEST["target"]
    connections = run["connections"]
    assert (connections["target"], connections["peak"], connections["at_end"]) == (100, 100, 99)
    assert (connections["attempts"], connections["failures"]) == (250, {"refused": 6})
    assert connections["connect_ms"]["count"] == 1
    fanout = run["fanout"]
    assert [fanout[key] for key in ("published", "expected", "delivered", "lost", "duplicated", "reordered")] == [
        30, 3_000, 2_700, 300, 6, 12,
    ]  # fmt: skip
    assert fanout["completeness"] == 0.9
    assert fanout["latency_ms"]["count"] == 4
    assert fanout["latency_ms"]["p50"] == pytest.approx(20, rel=1e-3)
    assert run["generator"]["workers_lost"] == 1
    assert run["generator"]["cpu_max_percent"] == 46.0
    assert run["generator"]["loop_lag_p99_ms"] is None


def test_a_crashed_runs_recovery_is_known_to_the_second(crashed: RunFolder) -> None:
    (event,) = open_run(crashed.path).run["events"]
    recovery = event["recovery"]
    assert (event["name"], event["kind"], event["at_s"]) == ("deploy", "deploy", 2.5)
    assert (event["population"], event["dropped"]) == (100, 100)
    assert recovery["t_sub_s"] == {"50": 1.5, "90": 2.5, "99": 2.5, "99.9": None, "100": None}
    assert (recovery["attempts"], recovery["amplification"], recovery["peak_attempts_1s"]) == (230, 2.3, 200)
    # all from 3 to 4 s, 40 % to 5 s, 1 % to 6 s
    assert recovery["outage_s_mean"] == pytest.approx(1.41)
    assert recovery["secondary_drops"] is None


def test_a_crashed_rolling_deploy_counts_until_its_last_node(folder: RunFolder) -> None:
    for line in (interval(3, 50, 50), interval(4, 100, 50), interval(5, 50, 100), interval(6, 100, 100)):
        folder.append_interval(line)
    (event,) = open_run(folder.path).run["events"]
    assert event["recovery"]["t_conn_s"]["99"] == 3.5
    assert event["recovery"]["t_conn_s"]["50"] == 0.0


def test_a_run_that_crashed_at_once_is_still_a_run(folder: RunFolder) -> None:
    record = open_run(folder.path)
    assert validate(record.run) == []
    assert record.run["verdict"] == "interrupted"
    assert record.run["run_id"] == folder.run_id
    assert len(record.warnings) == 3
    assert record.intervals == []


def test_hostile_intervals_do_not_stop_a_reconstruction(crashed: RunFolder) -> None:
    crashed.append_interval(
        {"t_s": 7, "connections": 3, "failures": {"x": "many"}, "events": [1, {"name": 2}], "attempts": "a"}
    )
    with (crashed.path / "intervals.jsonl").open("a") as file:
        file.write('{"t_s": 8, "events": 5, "attempts": 1e999}\n{"t_s": 1e999}\n{"t_s": true}\n')
    record = open_run(crashed.path)
    assert validate(record.run) == []
    assert [event["name"] for event in record.run["events"]] == ["deploy", "2"]


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00"])
def test_an_unreadable_summary_is_reconstructed(finished: RunFolder, text: str) -> None:
    (finished.path / "run.json").write_text(text)
    record = open_run(finished.path)
    assert record.summary is None
    assert record.run["verdict"] == "interrupted"
    assert record.warnings[0].startswith("run.json is not a JSON object")


def test_another_schema_is_refused_by_name(finished: RunFolder) -> None:
    (finished.path / "run.json").write_text(json.dumps({"schema": "loadtest.run/9"}))
    with pytest.raises(ResultsError, match=r"schema 'loadtest\.run/9', this version reads 'loadtest\.run/1'"):
        open_run(finished.path)


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="no such run folder"):
        open_run(tmp_path / "nothing")
    with pytest.raises(ResultsError, match="not a run folder"):
        open_run(tmp_path)
