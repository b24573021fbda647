"""Faults of the client's side in whole runs: what the server sees, what the event says, that all of it ends."""

from __future__ import annotations

from typing import Any

import pytest

from .topics import TOPICS

pytestmark = pytest.mark.e2e

PROFILE = (
    """
name = "client-faults"
duration = "{duration}"

[target]
dialect = "websocket"
url = "{url}/feed"

[population]
connections = 100
herd_size = 20

[[population.channels]]
name = "topic-{{n}}"
count = 4

[reconnect]
policy = "fixed"
delay = "300ms"

[ramp]
rate = "400/s"

[[faults]]
kind = "blackhole"
share = "20%"
after_steady = "500ms"
duration = "2s"

[[faults]]
kind = "half-open"
number = 10
after_steady = "500ms"

[[faults]]
kind = "mute"
number = 30
after_steady = "500ms"
duration = "2s"

[[faults]]
kind = "slow-reader"
share = "10%"
bytes_per_s = "50B"
after_steady = "500ms"
duration = "2s"
"""
    + TOPICS
)


def events(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {event["name"]: event for event in result["events"]}


def test_clients_fall_silent_vanish_read_slowly_and_come_back(loadtest_run, websocket_target, no_leftovers) -> None:
    run = loadtest_run(PROFILE.format(url=websocket_target.url, rate=20, duration="4s"), "--workers", "2")
    assert run.wait(60) == 0, run.said
    result = run.result
    assert result["reasons"] == []
    found = events(result)
    assert found["blackhole"]["dropped"] >= 20
    assert found["blackhole"]["fault"] == {"connections": 20, "noticed": 0}
    assert 2.0 <= found["blackhole"]["undone_at_s"] - found["blackhole"]["at_s"] <= 3.5
    assert found["blackhole"]["recovery"]["t_conn_s"]["100"] >= 2, "not before they are relieved"
    assert found["half-open"]["fault"] == {"connections": 10, "noticed": 0}
    assert found["half-open"]["undone_at_s"] > found["mute"]["undone_at_s"], "without a duration, to the end"
    mute = found["mute"]["fault"]
    assert (mute["tried"], mute["opened"], mute["refused"]) == (30, 30, 0)
    assert 7 <= found["slow-reader"]["fault"]["connections"] <= 10
    assert 0 < found["slow-reader"]["fault"]["read_bytes"] <= 10 * 50 * 3
    assert result["connections"]["at_end"] == 100
    assert "blackhole taken back" in run.said


def test_a_fault_that_finds_nobody_to_strike_makes_the_run_invalid(loadtest_run, websocket_target) -> None:
    """Nobody is there any more, and nobody comes back: so it is at any speed of the machine."""
    profile = PROFILE.format(url=websocket_target.url, rate=20, duration="1s").split("[[faults]]")[0]
    gone = '[[faults]]\nkind = "drop"\n[[faults]]\nkind = "blackhole"\nafter_steady = "300ms"\n'
    profile = profile.replace('policy = "fixed"\ndelay = "300ms"', 'policy = "none"')
    run = loadtest_run(profile + gone + TOPICS.format(rate=20))
    assert run.wait(30) == 3, run.said
    assert run.result["verdict"] == "invalid"
    assert "fault blackhole: there was no live connection to strike." in run.result["reasons"]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('kind = "mute"\nafter_steady = "9s"', "less than duration"),
        ('kind = "mute"\nduration = "7s"', 'at most "5s"'),
        ('kind = "blackhole"\nname = "again"\nafter_steady = "2s"', "both hold blackhole"),
    ],
)
def test_a_schedule_that_cannot_be_kept_is_refused_before_the_start(
    loadtest_run, websocket_target, table: str, words: str
) -> None:
    profile = PROFILE.format(url=websocket_target.url, rate=20, duration="5s").replace(
        'kind = "mute"\nnumber = 30\nafter_steady = "500ms"\nduration = "2s"', table
    )
    run = loadtest_run(profile)
    assert run.wait(30) == 2, run.said
    assert words in run.said
    assert run.folders == []
