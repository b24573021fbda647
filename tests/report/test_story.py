from __future__ import annotations

from typing import Any

import pytest

from loadtest.report.story import back, story


def test_story_of_a_deploy_names_held_dropped_back_and_delivered(run: dict[str, Any]) -> None:
    assert story(run) == (
        "5,000 clients held; deploy at 32.1 s dropped 100 %; 99 % were back after 4.33 s, all after 6.1 s; "
        "all 3,998,000 deliveries arrived, fan-out p99 12.7 ms."
    )


@pytest.mark.parametrize(
    ("times", "said"),
    [
        ((1.0, 2.0, 3.0, 4.0, 5.0), "99 % were back after 3 s, all after 5 s"),
        ((1.0, 2.0, 3.0, 3.0, 3.0), "all were back after 3 s"),
        ((1.0, 2.0, 3.0, 4.0, None), "99.9 % were back after 4 s, the rest not recovered when the run ended"),
        ((1.0, None, None, None, None), "50 % were back after 1 s, the rest not recovered when the run ended"),
        ((None,) * 5, "fewer than half of the clients came back before the run ended (not recovered)"),
    ],
)
def test_back_says_not_recovered_in_words(times: tuple[float | None, ...], said: str) -> None:
    keys = ("50", "90", "99", "99.9", "100")
    assert back({"recovery": {"t_sub_s": dict(zip(keys, times, strict=True))}}) == said


def test_story_without_a_recovery_does_not_invent_one() -> None:
    run = {"events": [{"name": "deploy", "at_s": 1.0, "population": 10, "dropped": 10}]}
    assert story(run) == "deploy at 1 s dropped 100 %; its recovery was not measured."


def test_story_counts_what_was_lost(run: dict[str, Any]) -> None:
    run["fanout"] |= {"delivered": 3_997_958, "lost": 42}
    assert "42 of 3,998,000 deliveries were lost" in story(run)


def test_story_below_target_says_so(run: dict[str, Any]) -> None:
    run["connections"]["peak"] = 4812
    assert story(run).startswith("4,812 of 5,000 clients held at the peak; ")


def test_story_of_many_events_stays_short(run: dict[str, Any]) -> None:
    run["events"] *= 9
    assert "; 7 more events followed; " in story(run)


@pytest.mark.parametrize(
    ("run", "said"),
    [
        ({}, "Nothing was measured."),
        ({"verdict": "interrupted"}, "Interrupted before anything was measured."),
        (
            {"verdict": "interrupted", "connections": {"target": 10, "peak": 10}},
            "Interrupted before its end: 10 clients held.",
        ),
    ],
)
def test_story_of_little(run: dict[str, Any], said: str) -> None:
    assert story(run) == said
