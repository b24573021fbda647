"""Network faults: what the relays are told, and what is said when they do not do it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from loadtest.faults.fault import Fault, FaultFailedError
from loadtest.faults.registry import build_faults
from loadtest.profile import faults as profile
from loadtest.relay.conditions import Impairment
from loadtest.relay.control import RelayError

ADAPTER: TypeAdapter[profile.Fault] = TypeAdapter(profile.Fault)


class FakeRelay:
    def __init__(self, struck: int = 3, error: str = "") -> None:
        self.orders: list[dict[str, Any]] = []
        self.struck, self.error = struck, error

    def order(self, order: dict[str, Any]) -> dict[str, Any]:
        if self.error:
            raise RelayError(self.error)
        self.orders.append(order)
        return {"struck": self.struck} if order["do"] == "place" else {}


def fault(kind: str, **table: Any) -> Fault:
    (made,) = build_faults([ADAPTER.validate_python({"kind": kind, "name": "x", **table})]).values()
    return made


@pytest.mark.parametrize(
    ("kind", "table", "impairment"),
    [
        ("delay", {"delay": "100ms", "direction": "up"}, {"direction": "up", "delay_s": 0.1}),
        ("jitter", {"jitter": "1s", "share": "50%"}, {"direction": "both", "delay_s": 1.0, "share": 0.5}),
        ("bandwidth", {"bytes_per_s": "1KiB"}, {"direction": "both", "bytes_per_s": 1024}),
        ("stall", {"direction": "down"}, {"direction": "down"}),
        ("cut", {}, {}),
    ],
)
def test_every_relay_is_told_and_told_again_at_the_end(
    context, kind: str, table: dict[str, Any], impairment: dict[str, Any]
) -> None:
    context.relays = [FakeRelay(), FakeRelay(4)]
    made = fault(f"network-{kind}", **table)
    assert made.check(context) == []
    made.apply(context)
    assert context.facts == {"x": {"connections": 7}}
    made.undo(context)
    for number, relay in enumerate(context.relays):
        place, clear = relay.orders
        wanted = Impairment(**{"kind": kind, "seed": f"1/x/{number}", **impairment})
        assert Impairment.read(place) == wanted, "the relay understands it"
        assert (place["do"], place["name"]) == ("place", "x")
        assert (clear["do"], clear["name"]) == ("clear", "x")


def test_without_a_relay_it_is_refused(context) -> None:
    assert fault("network-cut").check(context) == [
        "fault x: network-cut needs a relay between clients and gateways: a [relay] table in the profile"
    ]


@pytest.mark.parametrize("act", ["apply", "undo"])
def test_a_relay_that_does_not_obey_fails_the_fault(context, act: str) -> None:
    context.relays = [FakeRelay(error="the relay refused: no")]
    with pytest.raises(FaultFailedError, match="fault x: the relay refused: no"):
        getattr(fault("network-cut"), act)(context)
