"""Hints of servers, as they come: what is a time from now on is read, anything else is no hint."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.protocol.hint import MOST_S, in_text, in_value, seconds
from loadtest.protocol.path import Path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("retry-after=12.5", 12.5),
        ("Retry-After: 3", 3.0),
        ("going away; retry_after_s=0.25", 0.25),
        ("retry_after_ms=250", 0.25),
        ("retryAfter 7", 7.0),
        ('{"retry_after_s": 12.5}', 12.5),
        ('{"data": {"retryAfter": 2}}', 2.0),
        ('{"retry_after_ms": 1500, "why": "deploy"}', 1.5),
        ("", None),
        ("going away", None),
        ("retry-after=soon", None),
        ("retry-after=-5", None),
        ("{retry-after=5", None),
        ('{"retry_after_s": "now"}', None),
        ("[" * 5000, None),
    ],
)
def test_reason_of_a_close_frame(text: str, expected: float | None) -> None:
    assert in_text(text) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"message": "busy", "data": {"retry_after_s": 4}}, 4.0),
        ({"retry_after": "1.5"}, 1.5),
        ({"data": {"retry_after_s": True}}, None),
        ({"data": {"retry_after_s": float("nan")}}, None),
        ({"data": {"retry_after_s": MOST_S}}, None),
        ({"data": [4]}, None),
        ("4", None),
        (None, None),
    ],
)
def test_payload(value: Any, expected: float | None) -> None:
    assert in_value(value) == expected


def test_path_says_where_and_only_there() -> None:
    value = {"error": {"wait": 9}, "retry_after_s": 1}
    assert in_value(value, Path("error.wait")) == 9.0
    assert in_value(value, Path("error.none")) is None
    assert in_value(value, Path("")) == 1.0


@given(st.text() | st.floats() | st.integers() | st.booleans() | st.none())
def test_whatever_comes_is_a_time_or_nothing(value: Any) -> None:
    for found in (
        seconds(value),
        in_text(str(value)),
        in_text(f"retry-after={value}"),
        in_value({"retry_after": value}),
    ):
        assert found is None or 0 <= found < 1e13
