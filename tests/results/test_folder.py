from __future__ import annotations

import errno
import json
import os
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from loadtest.errors import ResultsError
from loadtest.results import folder as module
from loadtest.results.folder import RunFolder

from .conftest import STARTED, latency_of


def test_folder_is_named_by_time_profile_and_chance(folder: RunFolder, tmp_path: Path) -> None:
    assert folder.path.parent == tmp_path / "runs"
    assert re.fullmatch(r"20260117T101112-deploy-storm-[0-9a-f]{4}", folder.run_id)
    assert folder.logs_dir.is_dir()
    assert folder.report_path == folder.path / "report.html"
    assert folder.started_at_iso == "2026-01-17T10:11:12.345+00:00"


def test_time_in_the_name_is_utc(tmp_path: Path) -> None:
    there = datetime(2026, 1, 17, 23, 0, 0, tzinfo=timezone(timedelta(hours=-5)))
    with RunFolder.create(tmp_path, "p", there) as made:
        assert made.run_id.startswith("20260118T040000-p-")


@pytest.mark.parametrize(
    ("name", "part"),
    [("../../etc/x", "etc-x"), ("a b\n", "a-b"), ("...", "run"), ("", "run"), ("x" * 500, "x" * 60), (".hid", "hid")],
)
def test_profile_names_cannot_leave_the_root(tmp_path: Path, name: str, part: str) -> None:
    with RunFolder.create(tmp_path, name, STARTED) as made:
        assert made.path.parent == tmp_path
        assert made.run_id[16:-5] == part


def test_two_runs_of_one_second_never_share_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chances = iter(["aaaa", "aaaa", "aaaa", "bbbb"])
    monkeypatch.setattr(module.secrets, "token_hex", lambda _: next(chances))
    with RunFolder.create(tmp_path, "p", STARTED) as first, RunFolder.create(tmp_path, "p", STARTED) as second:
        assert (first.run_id[-4:], second.run_id[-4:]) == ("aaaa", "bbbb")
    monkeypatch.setattr(module.secrets, "token_hex", lambda _: "aaaa")
    with pytest.raises(ResultsError, match="exist already"):
        RunFolder.create(tmp_path, "p", STARTED)


def test_each_line_is_readable_before_the_folder_is_closed(folder: RunFolder) -> None:
    folder.append_mark(0.5, "ramp", "phase")
    folder.append_interval({"t_s": 1.0, "phase": "ramp", "fanout": {"p50_ms": float("nan")}})
    lines = [json.loads(line) for line in (folder.path / "intervals.jsonl").read_text().splitlines()]
    assert lines == [
        {"schema": "loadtest.intervals/1", "run_id": folder.run_id, "started_at": "2026-01-17T10:11:12.345+00:00"},
        {"t_s": 0.5, "mark": "ramp", "kind": "phase", "text": ""},
        {"t_s": 1.0, "phase": "ramp", "fanout": {"p50_ms": None}},
    ]


def test_histograms_are_appended_by_tag_and_empty_ones_left_out(folder: RunFolder) -> None:
    folder.append_histograms(0, 10, {"fanout.latency": latency_of(1, 2), "connect": latency_of()})
    lines = (folder.path / "histograms.hlog").read_text().splitlines()
    assert [line for line in lines if line.startswith("Tag=")] == [lines[-1]]
    assert lines[-1].startswith("Tag=fanout.latency,0.000,10.000,2.000,HIST")


def test_whole_files_are_written_and_leave_no_temporary_one(folder: RunFolder) -> None:
    with folder:
        folder.write_manifest({"profile": {"name": "x", "sha256": ""}})
        folder.write_profile('name = "x"\n')
        folder.write_curves({"deploy": {"population": 1}})
        folder.write_summary({"verdict": "pass"})
        folder.write_summary({"verdict": "fail"})
    assert sorted(path.name for path in folder.path.iterdir()) == [
        "curves.json", "histograms.hlog", "intervals.jsonl", "logs", "manifest.json", "profile.toml", "run.json",
    ]  # fmt: skip
    manifest = json.loads((folder.path / "manifest.json").read_text())
    assert (manifest["run_id"], manifest["profile"]["name"]) == (folder.run_id, "x")
    assert json.loads((folder.path / "run.json").read_text()) == {"verdict": "fail"}


def test_a_full_disk_leaves_the_old_summary_and_says_so(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.write_summary({"verdict": "pass"})

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(ResultsError, match=r"cannot write .*run\.json: No space left on device; free space .* --out"):
        folder.write_summary({"verdict": "fail"})
    assert json.loads((folder.path / "run.json").read_text()) == {"verdict": "pass"}
    assert not list(folder.path.glob(".*"))


def test_a_full_disk_under_the_log_is_said_on_every_line() -> None:
    log = module._AppendLog(Path("/dev/full"))
    for _ in range(2):
        with pytest.raises(ResultsError, match="cannot append to /dev/full: No space left on device"):
            log.append(b"{}\n")
    log.close()


def test_a_line_after_a_torn_one_starts_on_its_own(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = module._AppendLog(path)

    class Torn:
        """A disk that takes four bytes, then is full, then has space again."""

        def __init__(self) -> None:
            self.room = 4

        def write(self, data: memoryview) -> int:
            if not self.room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            taken, self.room = bytes(data[: self.room]), 0
            with path.open("ab") as file:
                return file.write(taken)

    real, log._file = log._file, Torn()  # type: ignore[assignment]
    with pytest.raises(ResultsError):
        log.append(b'{"a": 1}\n')
    log._file = real
    log.append(b'{"b": 2}\n')
    log.append(b'{"c": 3}\n')
    log.close()
    assert path.read_bytes() == b'{"a"\n{"b": 2}\n{"c": 3}\n'


def test_a_root_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultsError, match=r"cannot make the run folder .*file/runs"):
        RunFolder.create(tmp_path / "file" / "runs", "p")
