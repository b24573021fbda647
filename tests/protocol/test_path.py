"""Paths and rules: a place in a message, or MISSING, and never an error."""

from __future__ import annotations

from typing import Any

import pytest

from loadtest.protocol.path import MISSING, Path, Rule

MESSAGE: Any = ["event", {"text": "t", "list": [10, [20]], "0": "zero", "": "empty key"}]


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("", MESSAGE),
        ("0", "event"),
        ("1.text", "t"),
        ("1.list.1.0", 20),
        ("1.0", "zero"),
        ("1.", "empty key"),
        ("2", MISSING),
        ("-1", MISSING),
        ("²", MISSING),
        ("9" * 5000, MISSING),
        ("1.text.0", MISSING),
        ("1.absent.text", MISSING),
        ("x", MISSING),
    ],
)
def test_path_leads_there_or_nowhere(path: str, found: object) -> None:
    assert Path(path).find(MESSAGE) == found


def test_marker_is_looked_for_only_at_the_place() -> None:
    token = "lt1.0badcafe.1.2.3.4.5"
    message = ["e", {"text": f"{token}xx", "raw": token.encode(), "number": 1}]
    assert Path("1.text").marker(message) is not None
    assert Path("1.text").marker(message) == Path("1.raw").marker(message)
    assert Path("1.number").marker(message) is None
    assert Path("1").marker(message) is None
    assert Path("0").marker(message) is None


@pytest.mark.parametrize(
    ("path", "equals", "value", "holds"),
    [
        ("type", "subscribed", {"type": "subscribed"}, True),
        ("type", "subscribed", {"type": "other"}, False),
        ("type", "subscribed", {}, False),
        ("type", "subscribed", "text", False),
        ("ok", True, {"ok": True}, True),
        ("ok", True, {"ok": 1}, False),
        ("ok", 1, {"ok": True}, False),
        ("ok", 1, {"ok": 1.0}, True),
        ("ok", None, {"ok": None}, True),
        ("ok", None, {}, False),
        ("", "ok", "ok", True),
    ],
)
def test_rule_holds(path: str, equals: object, value: object, holds: bool) -> None:
    assert Rule(Path(path), equals).holds(value) is holds
