from __future__ import annotations

from pathlib import Path

import pytest

from loadtest.compare.group import gather
from loadtest.errors import ResultsError

from .runs import make_run, write_group, write_run


def test_folder_of_runs_is_a_group_named_by_its_version(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "bench.json").write_text("{}")
    group = gather([write_group(tmp_path, "bifrost-1", [1.0, 2.0])])
    assert (group.name, len(group.runs), group.left_out) == ("bifrost-1", 2, ())


def test_single_run_and_its_file_are_a_group_of_one(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "one", make_run())
    assert len(gather([folder]).runs) == len(gather([folder / "run.json"]).runs) == 1


def test_several_paths_are_pooled_by_time(tmp_path: Path) -> None:
    later, sooner = write_run(tmp_path / "a", make_run(9)), write_run(tmp_path / "b", make_run(1))
    assert [record.run["run_id"] for record in gather([later, sooner]).runs] == ["run-a-1", "run-a-9"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"verdict": "interrupted"}, "run-a-0 is left out: it was interrupted."),
        ({"unreachable": "nobody"}, "run-a-0 is left out: nobody answered."),
        ({"verdict": "invalid", "reasons": ["Lag."]}, "run-a-0 is left out: it is invalid (Lag)."),
    ],
)
def test_runs_that_measured_nothing_are_left_out_by_name(tmp_path: Path, change: dict[str, object], why: str) -> None:
    write_run(tmp_path / "bad", make_run() | change)
    write_run(tmp_path / "good", make_run(1))
    group = gather([tmp_path])
    assert [record.run["run_id"] for record in group.runs] == ["run-a-1"]
    assert group.left_out == (why,)


def test_invalid_runs_stay_when_asked(tmp_path: Path) -> None:
    write_run(tmp_path / "bad", make_run() | {"verdict": "invalid"})
    assert len(gather([tmp_path], keep_invalid=True).runs) == 1


def test_failed_threshold_is_a_result(tmp_path: Path) -> None:
    write_run(tmp_path / "failed", make_run() | {"verdict": "fail", "reasons": ["p99"]})
    assert len(gather([tmp_path]).runs) == 1


def test_other_schema_is_named_in_a_folder_and_refused_by_itself(tmp_path: Path) -> None:
    old = write_run(tmp_path / "old", make_run() | {"schema": "loadtest.run/0"})
    write_run(tmp_path / "new", make_run(1))
    group = gather([tmp_path])
    assert len(group.runs) == 1
    assert "old is left out" in group.left_out[0]
    assert "loadtest.run/0" in group.left_out[0]
    with pytest.raises(ResultsError, match=r"loadtest\.run/0"):
        gather([old])


def test_truncated_log_is_named_and_the_run_stays(tmp_path: Path) -> None:
    write_run(tmp_path / "cut", make_run(), log='{"schema":"loadtest.intervals/1"}\n{"t_s":1.0,"pha')
    group = gather([tmp_path])
    assert len(group.runs) == 1
    assert "the last line is cut off" in group.left_out[0]


def test_crashed_run_is_left_out(tmp_path: Path) -> None:
    (write_run(tmp_path / "crashed", make_run()) / "run.json").unlink()
    group = gather([tmp_path])
    assert group.runs == ()
    assert "did not end by itself" in group.left_out[0]


def test_empty_or_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="neither a run folder nor a folder of run folders"):
        gather([tmp_path])
    with pytest.raises(ResultsError, match="no such run folder"):
        gather([tmp_path / "nowhere"])
