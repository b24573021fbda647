from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench.__main__ import document, main, table
from tests.bench.figure import Figure


@pytest.mark.parametrize(
    ("value", "verdict"), [(1.2, "stretch reached"), (1.3, "reached"), (1.6, "reached"), (1.61, "not reached")]
)
def test_verdict_at_the_limits(value: float, verdict: str) -> None:
    assert Figure("x", value, bar=1.6, stretch=1.2).verdict == verdict


def test_figure_without_a_bar_has_no_verdict() -> None:
    assert Figure("x", 3.0).verdict == ""


def test_value_is_the_median_of_the_rounds() -> None:
    figure = Figure.of("x", [9.0, 1.0, 2.0])
    assert (figure.value, figure.low, figure.high, figure.rounds) == (2.0, 1.0, 9.0, 3)


def test_table_and_document_hold_every_figure() -> None:
    figures = [Figure("a", 1.0, bar=2.0), Figure.of("b", [1.0, 2.0])]
    assert table(figures).row_count == 2
    written = document(figures, {"c": "no compiler"}, quick=True)
    assert [figure["name"] for figure in written["figures"]] == ["a", "b"]
    assert written["skipped"] == {"c": "no compiler"}


def test_runner_measures_and_writes_json(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    assert main(["--quick", "--only", "merge", "--json", str(file)]) == 0
    written = json.loads(file.read_text())
    assert written["schema"] == "loadtest.bench/1"
    assert written["figures"][0]["value"] > 0


@pytest.mark.e2e
def test_herd_and_c_client_hold_the_same_conversation(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    if main(["--quick", "--only", "connect", "--only", "fanout", "--json", str(file)]) == 2:
        pytest.skip("no C compiler")
    assert {figure["name"] for figure in json.loads(file.read_text())["figures"]} >= {"connect CPU, herd / C"}
