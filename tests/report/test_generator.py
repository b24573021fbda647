from __future__ import annotations

from typing import Any

import pytest

from loadtest.report.generator import generator_table, trust


@pytest.mark.parametrize(
    ("changed", "grade"),
    [
        ({"loop_lag_p99_ms": 0.5}, "good"),
        ({"loop_lag_p99_ms": 0.9}, "with care"),
        ({"loop_lag_p99_ms": 1.3}, "not at all"),
        ({"loop_lag_p99_ms": 0.5, "lateness_p99_ms": 2.0}, "not at all"),
        ({"loop_lag_p99_ms": 0.5, "cpu_max_percent": 93.0}, "with care"),
        ({"loop_lag_p99_ms": 0.5, "workers_lost": 1}, "not at all"),
        ({"loop_lag_p99_ms": 0.5, "receive_queue_p99_ms": 9.0}, "with care"),
    ],
)
def test_trust_follows_the_rule_of_the_gated_percentile(
    run: dict[str, Any], changed: dict[str, float], grade: str
) -> None:
    run["generator"] |= changed
    assert trust(run).grade == grade


def test_trust_without_a_gate_warns_but_does_not_condemn(run: dict[str, Any]) -> None:
    run["thresholds"] = []
    run["generator"]["loop_lag_p99_ms"] = 9.0
    judged = trust(run)
    assert judged.grade == "with care"
    assert "70.9 % of the fan-out p99" in " ".join(judged.sentences)


def test_an_invalid_run_is_never_trusted(run: dict[str, Any]) -> None:
    assert trust(run | {"verdict": "invalid"}).grade == "not at all"


def test_no_account_is_no_trust() -> None:
    assert trust({}).grade == "not at all"


def test_the_receive_queues_share_is_told(run: dict[str, Any]) -> None:
    assert "What arrived waited to be read for 0.52 ms (p99), 4.1 % of the gated" in " ".join(trust(run).sentences)


def test_the_table_says_what_waited_and_of_how_many_that_is_known(run: dict[str, Any]) -> None:
    assert "<td>0.11 ms, 0.52 ms, 3.2 ms</td><td>5,520 reads on 79 connections</td>" in str(generator_table(run))
    del run["generator"]["receive_queue_p50_ms"]
    assert "Receive queue, p50, p99, max</th><td>not measured</td>" in str(generator_table(run))
