"""`loadtest compare`, `gate`, `history` and `bench-versions` as typed: exit codes, every bad input named."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from loadtest.cli import main

from .runs import around, make_run, write_group, write_run

Type = Callable[..., tuple[int, str, str]]


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Type:
    """Return `typed(word, ...)`: exit code, standard output and standard error, unwrapped."""

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["loadtest", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        code = ended.value.code
        assert code is None or isinstance(code, int)
        return code or 0, said.out, said.err

    return run


@pytest.fixture
def versions(tmp_path: Path) -> tuple[Path, Path]:
    return (
        write_group(tmp_path / "old", "1.0", around(2.0)),
        write_group(tmp_path / "new", "1.1", around(2.5, seed=2)),
    )


def test_compare_prints_and_writes_every_form(typed: Type, versions: tuple[Path, Path], tmp_path: Path) -> None:
    page, text = tmp_path / "c.html", tmp_path / "c.md"
    code, out, _ = typed("compare", *versions, "--html", page, "--markdown", text)
    assert code == 0
    assert "1.1 is worse than 1.0" in out
    assert f"page: {page}" in out
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert "1.1 is worse than 1.0" in text.read_text()
    code, out, _ = typed("compare", *versions, "--json")
    assert json.loads(out)["comparisons"][0]["verdict"] == "worse"


def test_compare_judges_the_metric_that_was_asked_for(typed: Type, versions: tuple[Path, Path]) -> None:
    _, out, _ = typed("compare", *versions, "--json", "--metric", "connections.connect.p99")
    (finding,) = json.loads(out)["comparisons"][0]["findings"]
    assert (finding["metric"], finding["verdict"]) == ("connections.connect.p99", "no difference")


def test_smallest_effect_is_a_percentage(typed: Type, versions: tuple[Path, Path]) -> None:
    assert typed("gate", *versions, "--smallest-effect", "60%")[0] == 0
    code, _, err = typed("gate", *versions, "--smallest-effect", "0.6")
    assert code == 2
    assert "--smallest-effect" in err


def test_gate_exits_0_1_or_5_with_one_sentence(typed: Type, versions: tuple[Path, Path], tmp_path: Path) -> None:
    old, new = versions
    again = write_group(tmp_path / "again", "1.0.1", around(2.0, seed=4))
    few = write_group(tmp_path / "few", "1.2", [9.0, 9.1])
    for candidate, wanted, said in ((new, 1, "Regression: "), (again, 0, "No regression: "), (few, 5, "Too few runs")):
        code, out, _ = typed("gate", old, candidate)
        assert code == wanted
        assert out.startswith(said)
        assert out.count("\n") == 1


def test_gate_pools_several_candidates(typed: Type, versions: tuple[Path, Path]) -> None:
    old, new = versions
    assert typed("gate", old, *sorted(path for path in new.iterdir()))[0] == 1


def test_truncated_log_and_other_schema_are_named_on_the_way(
    typed: Type, versions: tuple[Path, Path], tmp_path: Path
) -> None:
    old, new = versions
    write_run(new / "98", make_run(8, "1.1") | {"schema": "loadtest.run/2"})
    write_run(new / "99", make_run(9, "1.1", 2.5), log='{"t_s":1.0')
    code, _, err = typed("gate", old, new)
    assert code == 1
    assert "98 is left out" in err
    assert "schema 'loadtest.run/2'" in err
    assert "run-1.1-9: intervals.jsonl: the last line is cut off" in err


@pytest.mark.parametrize("command", [["compare"], ["gate"]])
def test_empty_folder_other_schema_and_missing_metric_are_refused(
    typed: Type, versions: tuple[Path, Path], tmp_path: Path, command: list[str]
) -> None:
    old, new = versions
    empty, other = tmp_path / "empty", write_run(tmp_path / "other", make_run() | {"schema": "loadtest.run/0"})
    empty.mkdir()
    for words, said in (
        ([old, empty], "neither a run folder nor a folder of run folders"),
        ([old, tmp_path / "nowhere"], "no such run folder"),
        ([old, other], "loadtest.run/0"),
        ([old, new, "--metric", "events.nova.t_rec"], "none of the 10 runs has it"),
        ([old, new, "--metric", "fanout.latency.p98"], "did you mean"),
    ):
        code, _, err = typed(*command, *words)
        assert code == 2, err
        assert said in err


def test_history_shows_where_it_changed(typed: Type, tmp_path: Path) -> None:
    runs = write_group(tmp_path / "runs", "a", [*around(2.0, 8), *around(3.0, 8, seed=2)])
    code, out, _ = typed("history", "fanout.latency.p50", "--runs", runs)
    assert code == 0
    lines = out.splitlines()
    changed = next(at for at, line in enumerate(lines) if "changed: " in line)
    assert "run-a-7" in lines[changed - 1]
    assert "run-a-8" in lines[changed + 1]
    _, out, _ = typed("history", "fanout.latency.p50", "--runs", runs, "--json")
    assert [change["run_id"] for change in json.loads(out)["changes"]] == ["run-a-8"]


def test_history_refuses_what_no_run_has(typed: Type, versions: tuple[Path, Path], tmp_path: Path) -> None:
    code, _, err = typed("history", "events.nova.t_rec", "--runs", versions[0])
    assert code == 2
    assert "no run of quiet has events.nova.t_rec" in err


def test_output_that_cannot_be_written_is_refused(typed: Type, versions: tuple[Path, Path], tmp_path: Path) -> None:
    code, _, err = typed("compare", *versions, "--markdown", tmp_path / "nowhere" / "c.md")
    assert code == 2
    assert "cannot write" in err


def test_bench_versions_wants_two_versions_of_a_profile_that_has_them(typed: Type, tmp_path: Path) -> None:
    assert typed("bench-versions", "smoke", "--versions", "sync", "--out", tmp_path)[0] == 2
    code, _, err = typed("bench-versions", "any-websocket", "--versions", "a,b", "--out", tmp_path)
    assert code == 2
    assert "use --target NAME=URL" in err.replace("\n", " ")
    code, _, err = typed("bench-versions", "smoke", "--versions", "sync,bifrost", "--out", tmp_path)
    assert code == 2
    assert "--versions bifrost: known are sync, bifrost-1" in err
    assert list(tmp_path.iterdir()) == []  # nothing was begun
