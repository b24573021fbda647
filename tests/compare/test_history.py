from __future__ import annotations

from pathlib import Path

import pytest

from loadtest.compare.history import relative, trace
from loadtest.errors import ResultsError, UsageError

from .runs import around, make_run, write_group, write_run


def test_history_is_by_time_with_its_change(tmp_path: Path) -> None:
    write_group(tmp_path, "a", [*around(2.0, 8), *around(3.0, 8, seed=2)])
    found = trace(tmp_path, "fanout.latency.p50")
    assert [point.started_at for point in found.points] == sorted(point.started_at for point in found.points)
    (change,) = found.changes
    assert change.at == 8
    share = relative(change)
    assert share == pytest.approx(0.5, abs=0.06)
    written = found.as_json()
    assert written["changes"][0]["run_id"] == "run-a-8"
    assert len(written["points"]) == 16


def test_run_without_the_metric_is_named(tmp_path: Path) -> None:
    write_group(tmp_path, "a", [2.0, 2.0])
    write_run(tmp_path / "quiet", make_run(9) | {"events": []})
    found = trace(tmp_path, "events.deploy.t_rec")
    assert len(found.points) == 2
    assert found.left_out == ("run-a-9 is left out: it has no events.deploy.t_rec.",)


def test_several_profiles_want_a_name(tmp_path: Path) -> None:
    write_run(tmp_path / "1", make_run())
    write_run(tmp_path / "2", make_run(1) | {"profile": {"name": "loud", "sha256": ""}})
    with pytest.raises(UsageError, match="--profile: loud, quiet"):
        trace(tmp_path, "fanout.latency.p50")
    assert len(trace(tmp_path, "fanout.latency.p50", "loud").points) == 1
    with pytest.raises(ResultsError, match="no run of a profile 'nope'; there are loud, quiet"):
        trace(tmp_path, "fanout.latency.p50", "nope")


def test_metric_that_no_run_has_is_refused(tmp_path: Path) -> None:
    write_group(tmp_path, "a", [2.0])
    with pytest.raises(ResultsError, match=r"no run of quiet has events\.nova\.t_rec"):
        trace(tmp_path, "events.nova.t_rec")


def test_recovery_that_did_not_come_is_a_point(tmp_path: Path) -> None:
    write_run(tmp_path / "1", make_run(t_rec=None))
    (point,) = trace(tmp_path, "events.deploy.t_rec").points
    assert point.value == float("inf")
