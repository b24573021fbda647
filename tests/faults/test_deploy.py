"""Deploy speaks to the stack's control address, and says what went wrong."""

from __future__ import annotations

import json

import pytest

from loadtest.faults.deploy import DeployFault
from loadtest.faults.fault import Control, FaultFailedError
from loadtest.profile.faults import DeployFault as Settings


def deploy(**keys: object) -> DeployFault:
    return DeployFault(Settings.model_validate({"kind": "deploy"} | keys))


def test_check_refuses_a_target_without_control_and_names_the_way_out(context) -> None:
    (refusal,) = deploy(name="night").check(context)
    assert refusal.startswith('fault night: "deploy" needs a stack')
    assert '"command"' in refusal
    with pytest.raises(FaultFailedError):
        deploy().apply(context)


@pytest.mark.e2e
def test_apply_posts_the_strategy_with_the_token(context, hook) -> None:
    context.control = Control(hook.url, "s3cret", deploys={"gateway": ["rolling"]})
    hook.answer = (200, b'{"replaced": ["gateway-1", "gateway-2"], "seconds": 1.2}')
    fault = deploy(strategy="rolling", drain_seconds=2.5)
    assert fault.check(context) == []
    fault.apply(context)
    fault.undo(context)
    ((method, path, headers, body),) = hook.requests
    assert (method, path, headers["authorization"]) == ("POST", "/v1/deploy", "Bearer s3cret")
    assert json.loads(body) == {
        "strategy": "rolling",
        "drain_seconds": 2.5,
        "tier": "gateway",
        "pace_s": 0.0,
        "close_code": None,
        "retry_after_s": None,
    }
    assert context.lines == ["deploy: rolling deploy of 2 processes done"]


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (409, b'{"error": "a deploy is under way"}', "409: a deploy is under way"),
        (500, b"Internal", "500: Internal"),
        (401, b"", r"401: \(empty answer\)"),
    ],
)
def test_apply_fails_with_the_words_of_the_stack(context, hook, status: int, body: bytes, said: str) -> None:
    context.control = Control(hook.url, "t")
    hook.answer = (status, body)
    with pytest.raises(FaultFailedError, match=f"fault deploy: the stack refused the deploy with {said}"):
        deploy().apply(context)
    assert context.lines == []


@pytest.mark.e2e
def test_apply_fails_when_the_stack_stays_silent(context, hook) -> None:
    context.control, hook.silent = Control(hook.url, "t"), True
    with pytest.raises(FaultFailedError, match=r"no answer within 0\.2 s"):
        deploy(timeout="200ms").apply(context)


@pytest.mark.e2e
def test_apply_fails_when_nobody_listens(context) -> None:
    context.control = Control("http://127.0.0.1:1", "t")
    with pytest.raises(FaultFailedError, match=r"POST http://127.0.0.1:1/v1/deploy: .*refused"):
        deploy().apply(context)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"strategy": "blue-green"}, '"blue-green"; allowed is all-at-once or rolling'),
        ({"tier": "api"}, 'the api of this target cannot be deployed "all-at-once"; it has none'),
    ],
)
def test_check_refuses_what_the_version_does_not_have(context, keys, said) -> None:
    context.control = Control("http://127.0.0.1:1", "t", deploys={"gateway": ("all-at-once", "rolling")})
    (refusal,) = deploy(**keys).check(context)
    assert refusal.endswith(said)
