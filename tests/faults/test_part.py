"""Faults of parts are orders to the stack: refused before the start if it cannot have them, taken back at the end."""

from __future__ import annotations

import json

import pytest
from pydantic import TypeAdapter

from loadtest.faults.fault import Control, FaultFailedError
from loadtest.faults.registry import build_faults
from loadtest.profile import faults as profile

PARTS = {"gateway-1": ["kill", "freeze", "slow"], "gateway-2": ["kill"], "storage": ["database-slow"]}


def fault_of(kind: str, **keys: object):
    settings = TypeAdapter(profile.Fault).validate_python({"kind": kind, **keys})
    return build_faults([settings])[settings.name]


@pytest.mark.parametrize(
    ("kind", "part", "said"),
    [
        ("kill", "broker", 'the target has no part "broker"; it has gateway-1, gateway-2, storage'),
        ("freeze", "gateway-2", 'gateway-2 of this target cannot have "freeze"; it can have kill'),
        ("partition", "gateway-*", 'gateway-1 of this target cannot have "partition"'),
        ("database-down", "storage", 'storage of this target cannot have "database-down"'),
    ],
)
def test_part_that_the_target_does_not_have_is_refused(context, kind, part, said) -> None:
    context.control = Control("http://127.0.0.1:1", "t", PARTS)
    (refusal,) = fault_of(kind, name="night", part=part).check(context)
    assert refusal.startswith("fault night: ")
    assert said in refusal


def test_what_one_of_the_parts_can_have_is_not_refused(context) -> None:
    context.control = Control("http://127.0.0.1:1", "t", PARTS)
    assert fault_of("freeze", part="gateway-*").check(context) == []
    assert fault_of("database-slow", delay="50ms").check(context) == []


def test_target_without_control_is_refused(context) -> None:
    (refusal,) = fault_of("kill", part="api").check(context)
    assert 'target.stack = "reference"' in refusal
    with pytest.raises(FaultFailedError):
        fault_of("kill", part="api").apply(context)


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("kind", "keys", "order"),
    [
        ("kill", {"part": "api"}, {"part": "api"}),
        ("down", {"part": "api"}, {"part": "api"}),
        ("freeze", {"part": "gateway-*"}, {"part": "gateway-*"}),
        ("slow", {"part": "api", "share": "25%"}, {"part": "api", "share": 0.25}),
        ("database-slow", {"delay": "50ms"}, {"part": "storage", "delay_s": 0.05}),
        ("database-down", {}, {"part": "storage"}),
        ("partition", {"part": "broker", "how": "silence"}, {"part": "broker", "how": "silence"}),
        ("replica-lag", {"delay": "2s"}, {"part": "broker-replica", "delay_s": 2.0}),
        ("failover", {}, {"part": "broker"}),
    ],
)
def test_order_is_put_under_the_name_of_the_fault_and_deleted_if_it_lasts(context, hook, kind, keys, order) -> None:
    context.control = Control(hook.url, "s3cret")
    hook.answer = (201, b'{"parts": ["gateway-1", "gateway-2"]}')
    fault = fault_of(kind, name="night", **keys)
    fault.apply(context)
    assert context.facts == {"night": {"parts": ["gateway-1", "gateway-2"]}}
    fault.undo(context)
    (method, path, headers, body), *later = hook.requests
    assert (method, path, headers["authorization"]) == ("PUT", "/v1/faults/night", "Bearer s3cret")
    assert json.loads(body) == {"kind": kind, **order}
    assert [request[:2] for request in later] == [("DELETE", "/v1/faults/night")] * (kind not in ("kill", "failover"))


@pytest.mark.e2e
def test_refusal_of_the_stack_is_told_in_its_words(context, hook) -> None:
    context.control, hook.answer = Control(hook.url, "t"), (409, b'{"error": "api is not running"}')
    for act in (fault_of("freeze", part="api").apply, fault_of("freeze", part="api").undo):
        with pytest.raises(FaultFailedError, match="fault freeze: the stack answered 409: api is not running"):
            act(context)


@pytest.mark.e2e
def test_fault_of_a_stack_that_has_ended_has_ended_with_it(context) -> None:
    context.control = Control("http://127.0.0.1:1", "t")
    fault_of("freeze", part="api").undo(context)
    assert context.lines == ["freeze: the stack has ended, and the fault with it"]
