from __future__ import annotations

from pathlib import Path

import pytest

from loadtest.compare.comparison import compare
from loadtest.compare.gate import Passage, pass_or_stop
from loadtest.compare.group import Group, gather
from loadtest.errors import ExitCode

from .runs import around, make_group, write_group


def gate(baseline: Group, candidate: Group, *metrics: str) -> Passage:
    (one,) = compare([baseline, candidate], metrics).versus
    return pass_or_stop(one)


def test_regression_stops_and_says_which_metric_by_how_much() -> None:
    passage = gate(make_group("1.0", around(2.0)), make_group("1.1", around(2.5, seed=2)))
    assert passage.exit_code == ExitCode.THRESHOLD_FAILED
    assert passage.sentence.startswith("Regression: 1.1 against 1.0: fanout.latency.p50 ")
    assert " % up, from 2.0" in passage.sentence
    assert passage.sentence.endswith(".")


def test_no_regression_passes_and_says_what_would_have_shown() -> None:
    passage = gate(make_group("1.0", around(2.0)), make_group("1.1", around(2.0, seed=2)))
    assert passage.exit_code == ExitCode.PASS
    assert passage.sentence.startswith("No regression: 1.1 against 1.0, 5 and 5 runs; would have shown: ")


def test_better_passes_and_is_named() -> None:
    passage = gate(make_group("1.0", around(2.0)), make_group("1.1", around(1.0, seed=2)))
    assert passage.exit_code == ExitCode.PASS
    assert "better: fanout.latency.p50" in passage.sentence


def test_too_few_runs_are_not_a_pass() -> None:
    passage = gate(make_group("1.0", [2.0, 2.1, 2.0]), make_group("1.1", [2.0, 2.0, 2.1]))
    assert passage == Passage(
        ExitCode.TOO_FEW_RUNS,
        "Too few runs to say: 3 and 3 runs to compare (too few runs: 3 and 3, needed are 4 of each).",
    )


def test_no_runs_at_all_are_not_a_pass() -> None:
    assert gate(make_group("1.0", around(2.0)), Group("1.1", ())).exit_code == ExitCode.TOO_FEW_RUNS
    assert gate(Group("1.0", ()), Group("1.1", ())).exit_code == ExitCode.TOO_FEW_RUNS


def test_noise_that_hides_a_doubling_is_not_a_pass() -> None:
    wild = [0.2, 9.0, 1.0, 4.0, 0.3]
    passage = gate(make_group("1.0", wild), make_group("1.1", wild[::-1]), "fanout.latency.p50")
    assert passage.exit_code == ExitCode.TOO_FEW_RUNS
    assert "fanout.latency.p50 cannot be told from 5 and 5 runs" in passage.sentence


@pytest.mark.parametrize(("factor", "code"), [(1.0, 0), (1.3, 1)])
def test_folders_of_runs_are_gated(tmp_path: Path, factor: float, code: int) -> None:
    baseline = write_group(tmp_path / "base", "1.0", around(2.0))
    candidate = write_group(tmp_path / "next", "1.1", [factor * p50 for p50 in around(2.0, seed=2)])
    assert gate(gather([baseline]), gather([candidate])).exit_code == code
