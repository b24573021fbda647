from __future__ import annotations

from typing import Any

import pytest

from loadtest.profile.overrides import aim_at, apply_overrides, parse_value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("20s", "20s"),
        ("5", 5),
        ("true", True),
        ('"5"', "5"),
        ("[1, 2]", [1, 2]),
        ("{a = 1}", {"a": 1}),
        ("sync", "sync"),
        ("1\nb = 2", "1\nb = 2"),
        ("", ""),
        ("a=b", "a=b"),
        ("0.5", 0.5),
        ("100/s", "100/s"),
        ("[]", []),
    ],
)
def test_values_are_toml_or_else_text(text: str, value: object) -> None:
    assert parse_value(text) == value


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("a.b=2", {"a": {"b": 2}, "c": [{"d": 1}]}),
        ("a.new.deep=x", {"a": {"b": 1, "new": {"deep": "x"}}, "c": [{"d": 1}]}),
        ("c.0.d=7", {"a": {"b": 1}, "c": [{"d": 7}]}),
        ("c.1.d=8", {"a": {"b": 1}, "c": [{"d": 1}, {"d": 8}]}),
        ("c.0=9", {"a": {"b": 1}, "c": [9]}),
        ("c.1=9", {"a": {"b": 1}, "c": [{"d": 1}, 9]}),
        ("c=[]", {"a": {"b": 1}, "c": []}),
        ("f.0.kind=drop", {"a": {"b": 1}, "c": [{"d": 1}], "f": [{"kind": "drop"}]}),
        ("e=x=y", {"a": {"b": 1}, "c": [{"d": 1}], "e": "x=y"}),
    ],
)
def test_overrides_reach_tables_and_arrays(override: str, expected: dict[str, Any]) -> None:
    data: dict[str, Any] = {"a": {"b": 1}, "c": [{"d": 1}]}
    assert apply_overrides(data, [override]) == []
    assert data == expected


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("nothing", "dotted.key=value"),
        ("=1", "dotted.key=value"),
        ("a..b=1", "dotted.key=value"),
        ("c.7.d=1", "array of 1; allowed after it: 0 to 1"),
        ("c.x=1", "array of 1"),
        ("a.b.z=1", "a.b is a single value"),
    ],
)
def test_overrides_that_lead_nowhere_are_named(override: str, said: str) -> None:
    (fault,) = apply_overrides({"a": {"b": 1}, "c": [{"d": 1}]}, [override])
    assert fault.startswith(f"--set {override}: ")
    assert said in fault


def test_aim_at_survives_a_target_that_is_no_table() -> None:
    data: dict[str, Any] = {"target": 5}
    aim_at(data, "ws://a", [])
    assert data == {"target": {"url": "ws://a"}}
