"""A rollout speaks to the stack's control address, and holds the share that came of it against chance."""

from __future__ import annotations

import json

import pytest

from loadtest.faults.fault import Control, FaultFailedError
from loadtest.faults.rollout import RolloutFault, binomial_interval
from loadtest.profile.faults import RolloutFault as Settings


def rollout(**keys: object) -> RolloutFault:
    return RolloutFault(Settings.model_validate({"kind": "rollout", "percent": 50} | keys))


def answered(on_new: int, of: int = 1000, *, complete: bool = True) -> bytes:
    clients = {"sync": of - on_new, "bifrost-1": on_new}
    return json.dumps({"version": "bifrost-1", "clients": clients, "left": 7, "complete": complete}).encode()


@pytest.mark.parametrize(
    ("trials", "share", "interval"), [(1000, 0.5, (459, 541)), (1000, 0.0, (0, 0)), (1000, 1.0, (1000, 1000))]
)
def test_interval_holds_99_percent(trials: int, share: float, interval: tuple[int, int]) -> None:
    """Literal values: 500 -+ 2.576 * sqrt(250)."""
    assert binomial_interval(trials, share) == interval


def test_check_refuses_a_target_without_control(context) -> None:
    (refusal,) = rollout(name="half").check(context)
    assert refusal.startswith('fault half: "rollout" needs a stack')
    with pytest.raises(FaultFailedError):
        rollout().apply(context)


@pytest.mark.e2e
def test_apply_orders_the_percent_and_tells_what_came_of_it(context, hook) -> None:
    context.control, hook.answer = Control(hook.url, "s3cret"), (200, answered(512))
    fault = rollout(over="2s", timeout="9s")
    assert fault.check(context) == []
    fault.apply(context)
    ((method, path, headers, body),) = hook.requests
    assert (method, path, headers["authorization"]) == ("POST", "/v1/rollout", "Bearer s3cret")
    assert json.loads(body) == {"percent": 50, "over_seconds": 2, "patience_seconds": 9}
    assert context.lines == ["rollout: 512 of 1000 clients on bifrost-1, 459 to 541 expected; 7 were told to go"]


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, answered(560), "560 of 1000 clients on bifrost-1, 459 to 541 expected"),
        (200, answered(500, complete=False), "fewer than before after 60 s"),
        (409, b'{"error": "a deploy is in progress"}', "with 409: a deploy is in progress"),
        (500, b"Internal", "with 500: Internal"),
    ],
)
def test_apply_fails_when_the_share_is_not_what_was_asked_for(context, hook, status, body, said) -> None:
    context.control, hook.answer = Control(hook.url, "t"), (status, body)
    with pytest.raises(FaultFailedError, match=f"fault .*{said}"):
        rollout().apply(context)
    assert context.lines == []
