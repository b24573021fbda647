"""Blackhole, half-open, slow-reader, slowloris, mute: the herds are asked, let go, and what came of it is reported."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from loadtest.clock import NS_PER_S
from loadtest.faults.fault import Fault, FaultFailedError
from loadtest.faults.registry import build_faults
from loadtest.profile import faults as profile

ADAPTER: TypeAdapter[profile.Fault] = TypeAdapter(profile.Fault)


def fault(**table: Any) -> Fault:
    (made,) = build_faults([ADAPTER.validate_python({"name": "x", **table})]).values()
    return made


@pytest.mark.parametrize(
    ("table", "order"),
    [
        ({"kind": "blackhole", "share": "10%"}, {"share": 0.1}),
        ({"kind": "half-open", "number": 7}, {"number": 7}),
        ({"kind": "slow-reader", "bytes_per_s": "1KiB"}, {"share": 1.0, "bytes_per_s": 1024}),
        (
            {"kind": "slowloris", "number": 50, "byte_every": "2s"},
            {"number": 50, "open_per_s": 1000.0, "says": "endless", "byte_every_ns": 2 * NS_PER_S},
        ),
        ({"kind": "mute", "open": "5/s"}, {"number": 100, "open_per_s": 5.0, "says": "nothing", "byte_every_ns": 0}),
        (
            {"kind": "mute", "after": "upgrade"},
            {"number": 100, "open_per_s": 1000.0, "says": "upgrade", "byte_every_ns": 0},
        ),
    ],
)
def test_the_herds_are_told_what_to_do(context, table: dict[str, Any], order: dict[str, Any]) -> None:
    made = fault(**table)
    assert made.check(context) == []
    made.apply(context)
    assert context.orders == [("x", {"kind": table["kind"], **order})]
    assert context.lines == [f"x: {table['kind']} at 10 connections"]


def test_what_came_of_it_is_reported_when_it_is_taken_back(context) -> None:
    context.outcome = {"connections": 10, "noticed": 3}
    made = fault(kind="blackhole")
    made.apply(context)
    made.undo(context)
    assert context.relieved == ["x"]
    assert context.facts == {"x": {"connections": 10, "noticed": 3}}
    assert context.lines[-1] == "x: connections 10, noticed 3"


def test_nobody_to_strike_is_a_failure(context) -> None:
    context.hit = 0
    with pytest.raises(FaultFailedError, match="fault x: there was no live connection to strike"):
        fault(kind="blackhole").apply(context)
