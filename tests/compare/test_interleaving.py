from __future__ import annotations

from loadtest.compare.interleaving import there_and_back


def test_two_versions_run_abba() -> None:
    assert "".join(version for version, _ in there_and_back(["A", "B"], 5)) == "ABBAABBAAB"


def test_three_versions_go_there_and_back_and_each_runs_as_often() -> None:
    order = there_and_back(["A", "B", "C"], 4)
    assert "".join(version for version, _ in order) == "ABCCBAABCCBA"
    assert sorted(order) == sorted((version, number) for version in "ABC" for number in (1, 2, 3, 4))
