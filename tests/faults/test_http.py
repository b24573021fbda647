"""A hook is done when it answers 2xx, and failed otherwise."""

from __future__ import annotations

import pytest

from loadtest.faults.fault import FaultFailedError
from loadtest.faults.http import HttpFault
from loadtest.profile.faults import HttpFault as Settings

pytestmark = pytest.mark.e2e


def http(url: str, timeout: str = "5s", **request: object) -> HttpFault:
    return HttpFault(Settings.model_validate({"kind": "http", "timeout": timeout, "http": {"url": url} | request}))


@pytest.mark.parametrize(
    ("body", "sent", "kind"),
    [
        ({"image": "gw:2"}, b'{"image": "gw:2"}', "application/json"),
        ("go", b"go", None),
        (None, b"", None),
    ],
)
def test_apply_sends_the_request_of_the_profile(context, hook, body, sent: bytes, kind: str | None) -> None:
    hook.answer = (204, b"")
    more = {} if body is None else {"body": body}
    fault = http(f"{hook.url}/deploy?x=1", method="PUT", headers={"X-Key": "k"}, **more)
    assert fault.check(context) == []
    fault.apply(context)
    ((method, path, headers, received),) = hook.requests
    assert (method, path, headers["x-key"], received) == ("PUT", "/deploy?x=1", "k", sent)
    assert kind is None or headers["content-type"] == kind
    assert context.lines == [f"http: PUT {hook.url}/deploy?x=1 answered 204"]


@pytest.mark.parametrize("status", [304, 403, 503])
def test_apply_fails_on_any_answer_but_2xx(context, hook, status: int) -> None:
    hook.answer = (status, b"" if status == 304 else b"no way")
    with pytest.raises(FaultFailedError, match=f"fault http: POST {hook.url} answered {status}"):
        http(hook.url).apply(context)


def test_apply_fails_on_silence_within_the_timeout(context, hook) -> None:
    hook.silent = True
    with pytest.raises(FaultFailedError, match=r"no answer within 0\.2 s"):
        http(hook.url, timeout="200ms").apply(context)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x", "file:///etc/hosts", "http://nowhere.invalid/", "nonsense"])
def test_apply_fails_on_an_address_that_leads_nowhere(context, url: str) -> None:
    with pytest.raises(FaultFailedError, match="fault http: POST "):
        http(url).apply(context)


def test_check_refuses_what_is_no_http_address(context) -> None:
    assert http("file:///etc/hosts").check(context) == [
        'fault http: url "file:///etc/hosts" is neither http:// nor https://'
    ]
