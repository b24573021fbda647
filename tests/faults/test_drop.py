"""Drop asks the herds, no more."""

from __future__ import annotations

import pytest

from loadtest.faults.drop import DropFault
from loadtest.profile.faults import DropFault as Settings


@pytest.mark.parametrize(
    ("table", "order"),
    [
        ({}, {"share": 1.0, "reset": False}),
        ({"share": "12.5%", "how": "reset"}, {"share": 0.125, "reset": True}),
        ({"number": 30}, {"number": 30, "reset": False}),
    ],
)
def test_apply_asks_the_herds_for_the_share(context, table: dict[str, object], order: dict[str, object]) -> None:
    fault = DropFault(Settings.model_validate({"kind": "drop", **table}))
    assert fault.check(context) == []
    fault.apply(context)
    fault.undo(context)
    assert context.orders == [("drop", {"kind": "drop", **order})]
    assert context.facts == {"drop": {"connections": 10}}
    assert context.lines == [f"drop: 10 connections dropped by {'reset' if order['reset'] else 'close'}"]
