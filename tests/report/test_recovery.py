"""Recovery in the page: connected, acknowledged, reached; the canaries beside them; runs that were told less."""

from __future__ import annotations

from typing import Any

from loadtest.report.data import ReportData
from loadtest.report.prediction import in_real_time
from loadtest.report.recovery import recovery_charts, recovery_figures, recovery_times


def event(**more: Any) -> dict[str, Any]:
    recovery = {
        "t_conn_s": {"50": 2.0, "90": 3.0, "99": 4.0, "99.9": 5.0, "100": 6.0},
        "t_ack_s": {"50": 2.5, "90": 3.5, "99": 4.5, "99.9": 5.5, "100": None},
        "t_sub_s": dict.fromkeys(("50", "90", "99", "99.9", "100")),
    }
    return {"name": "deploy", "at_s": 30.0, "population": 10, "dropped": 10, "recovery": recovery, **more}


def test_who_is_subscribed_and_was_reached_by_nothing_has_a_row() -> None:
    table = str(recovery_times(event()))
    assert table.index("connected") < table.index("acknowledged") < table.index("reached by a message")
    row = table[table.index("acknowledged") : table.index("reached by a message")]
    assert "5.5 s" in row
    assert row.count("not recovered") == 1


def test_a_run_of_before_has_the_rows_it_has() -> None:
    old = event()
    del old["recovery"]["t_ack_s"]
    assert "acknowledged" not in str(recovery_times(old))


def test_canaries_are_told_by_their_number_and_the_times_since_the_drop() -> None:
    told = str(recovery_figures(event(canaries_at_s=[36.25, 46.25])))
    assert "2, after 6.25 s, 16.2 s" in told
    assert "Canaries" not in str(recovery_figures(event()))
    many = [30.0 + number for number in range(1, 9)]
    assert "8, after 1 s, 2 s, 3 s, 4 s ..." in str(recovery_figures(event(canaries_at_s=many)))


def test_chart_has_a_line_for_each_of_the_three(data: ReportData) -> None:
    ((_, chart),) = recovery_charts(data)
    assert chart is not None
    assert [trace["name"] for trace in chart.traces[:2]] == ["connected", "subscribed again"]
    data.curves["deploy"]["acknowledged"] = data.curves["deploy"]["connected"]
    ((_, chart),) = recovery_charts(data)
    assert chart is not None
    assert [trace["name"] for trace in chart.traces[:3]] == ["connected", "acknowledged", "subscribed again"]


def test_real_time_holds_for_acknowledgements_too(data: ReportData) -> None:
    data.run["events"][0]["recovery"]["t_ack_s"] = {"50": 2.0, "99": None}
    data.run["scale"] = {"time": 60.0}
    told = in_real_time(data).run["events"][0]["recovery"]
    assert told["t_ack_s"] == {"50": 120.0, "99": None}
