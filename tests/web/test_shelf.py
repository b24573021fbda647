"""The list of past runs: everything in the folder is named, nothing outside can be reached."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from loadtest.web import shelf as module
from loadtest.web.shelf import Shelf


def run_folder(root: Path, name: str, run: dict[str, Any] | str | None) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    if run is not None:
        (folder / "run.json").write_text(run if isinstance(run, str) else json.dumps(run))
    return folder


def summary(**more: Any) -> dict[str, Any]:
    recovery = {"t_sub_s": {"99": 1.5}, "t_rec_s": None}
    return {
        "schema": "loadtest.run/1",
        "started_at": "2026-01-01T00:00:00.000+00:00",
        "verdict": "pass",
        "reasons": [],
        "profile": {"name": "smoke"},
        "target": {"version": "sync"},
        "connections": {"target": 200},
        "fanout": {"latency_ms": {"p99": 12.5}, "lost": 0},
        "events": [{"name": "deploy", "recovery": recovery}],
    } | more


def test_runs_are_listed_the_newest_first_with_their_figures(tmp_path: Path) -> None:
    run_folder(tmp_path, "20260101T000000-smoke-0001", summary())
    run_folder(tmp_path, "20260102T000000-smoke-0002", summary(verdict="fail", events=[]))
    newest, oldest = Shelf(tmp_path).entries()["runs"]
    assert (newest["verdict"], newest["events"], newest["t_sub_99_s"]) == ("fail", [], None)
    assert (oldest["version"], oldest["fanout_p99_ms"], oldest["t_sub_99_s"], oldest["t_rec_s"]) == (
        "sync",
        12.5,
        1.5,
        None,
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{broken", "cannot be read"),
        ("[1]", "schema is None"),
        (json.dumps(summary(schema="loadtest.run/9")), "schema is loadtest.run/9, this version reads loadtest.run/1"),
        (None, "not a run folder"),
    ],
)
def test_what_is_no_run_of_ours_is_named(tmp_path: Path, content: str | None, words: str) -> None:
    run_folder(tmp_path, "a", content)
    assert words in Shelf(tmp_path).entries()["runs"][0]["problem"]


def test_a_run_without_a_summary_is_unfinished(tmp_path: Path) -> None:
    folder = run_folder(tmp_path, "a", None)
    (folder / "manifest.json").write_text(json.dumps({"profile": {"name": "smoke"}, "target": {"version": "x"}}))
    (entry,) = Shelf(tmp_path).entries()["runs"]
    assert (entry["verdict"], entry["profile"], entry["version"]) == ("unfinished", "smoke", "x")


def test_a_run_that_ends_later_is_read_again(tmp_path: Path) -> None:
    folder = run_folder(tmp_path, "a", summary(verdict="pass"))
    shelf = Shelf(tmp_path)
    assert shelf.entries()["runs"][0]["verdict"] == "pass"
    (folder / "run.json").write_text(json.dumps(summary(verdict="interrupted")))
    assert shelf.entries()["runs"][0]["verdict"] == "interrupted"


def test_only_the_folders_own_entries_can_be_reached(tmp_path: Path) -> None:
    inside = run_folder(tmp_path / "runs", "a", summary())
    run_folder(tmp_path, "outside", summary())
    shelf = Shelf(tmp_path / "runs")
    assert shelf.path("a") == inside
    assert [shelf.path(name) for name in ("../outside", "..", "", ".", "a/..", str(tmp_path / "outside"))] == [None] * 6


def test_ticked_runs_are_pooled_by_version_the_oldest_first(tmp_path: Path) -> None:
    versions = ("sync", "bifrost-1", "sync", "bifrost-1")
    folders = [
        run_folder(tmp_path, f"{number}", summary(target={"version": version}))
        for number, version in enumerate(versions)
    ]
    shelf = Shelf(tmp_path)
    assert shelf.groups(["3", "2", "0", "1"]) == [("sync", folders[0::2]), ("bifrost-1", folders[1::2])]
    assert shelf.groups(["2", "0"]) == [("0", [folders[0]]), ("2", [folders[2]])]  # one against the other
    with pytest.raises(KeyError, match="nothing"):
        shelf.groups(["0", "nothing"])


def test_older_runs_are_counted_when_not_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    for number in range(5):
        run_folder(tmp_path, f"{number}", summary())
    told = Shelf(tmp_path).entries()
    assert ([entry["id"] for entry in told["runs"]], told["left_out"]) == (["4", "3"], 3)
    assert Shelf(tmp_path / "nothing-yet").entries() == {"runs": [], "left_out": 0}
