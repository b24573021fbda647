from __future__ import annotations

import tomllib

import pytest

from loadtest.profile.redaction import redact_url, safe, safe_setting, safe_text
from tests.profile.conftest import Parse

SECRET = "hunter2"


def test_secrets_leave_and_keys_stay(parse: Parse) -> None:
    profile = parse(
        f"client.auth={{ token = '{SECRET}', deep = [{{ a = '{SECRET}' }}, 5] }}",
        f"client.headers={{ Authorization = 'Bearer {SECRET}' }}",
        f"client.query={{ key = '{SECRET}' }}",
        f"client.variables={{ token = '{SECRET}' }}",
        f"target.url=ws://user:{SECRET}@127.0.0.1:1/path?token={SECRET}",
        f"publish.args=[{{ text = '{{marker}}', password = '{SECRET}' }}]",
        "faults=[{ kind = 'http' }]",
        f"faults.0.http={{ url = 'http://h/?k={SECRET}', headers = {{ X = '{SECRET}' }}, body = '{SECRET}' }}",
    )
    assert profile.to_toml().count(SECRET) == 11
    text = profile.to_toml(redact=True)
    assert SECRET not in text
    shown = tomllib.loads(text)
    assert shown["client"]["auth"] == {"token": "***", "deep": [{"a": "***"}, "***"]}
    assert shown["client"]["headers"] == {"Authorization": "***"}
    assert shown["target"]["url"] == "ws://***@127.0.0.1:1/path?***"
    assert shown["publish"]["args"] == [{"text": "{marker}", "password": "***"}]
    assert shown["publish"]["marker"] == ""


def test_redacted_profile_still_loads(parse: Parse) -> None:
    text = parse("client.headers={ A = 'b' }", "target.url=ws://u:p@h:1/?a=b").to_toml(redact=True)
    assert parse(text=text).client.headers == {"A": "***"}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("ws://h:1/p", "ws://h:1/p"),
        ("ws://h/p?a=b", "ws://h/p?***"),
        ("ws://u@h/p", "ws://***@h/p"),
        ("ws://u:p@w@h:1/p", "ws://***@h:1/p"),
    ],
)
def test_urls_lose_what_identifies(url: str, shown: str) -> None:
    assert redact_url(url) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ws://u:p,q@h:1/?a=b: refused.", "ws://***@h:1/?***: refused."),
        ("ws://u:p@a/,ws://u:p@b/?c, (http://h/x?y).", "ws://***@a/,ws://***@b/?***, (http://h/x?***)."),
        ("ws://[::1/?a=b is no URL", "ws://*** is no URL"),
        (
            "kubectl --token abc -n x; curl -H 'Authorization: Bearer abc'",
            "kubectl --token *** -n x; curl -H 'Authorization: Bearer ***'",
        ),
        ("API_KEY=abc ./deploy --password=abc", "API_KEY=*** ./deploy --password=***"),
        ("fanout.latency.p99 < 250ms: a token, a secret", "fanout.latency.p99 < 250ms: a token, a secret"),
    ],
)
def test_a_sentence_keeps_all_but_its_secrets(text: str, shown: str) -> None:
    assert safe_text(text) == shown
    assert safe_text(safe_text(text)) == safe_text(text)


def test_plain_data_is_safe_key_by_key() -> None:
    told = {"tags": {"api_key": SECRET, "branch": "main"}, "reasons": [f"ws://h/?{SECRET}", 5, None], "ok": True}
    kept = {"tags": {"api_key": "***", "branch": "main"}, "reasons": ["ws://h/?***", 5, None], "ok": True}
    assert safe(told) == kept


@pytest.mark.parametrize(
    ("setting", "shown"),
    [
        ("duration=5s", "duration=5s"),
        (f"client.auth.token={SECRET}", "client.auth.token=***"),
        (f"target.url=ws://h/?k={SECRET}", "target.url=ws://h/?***"),
        (f"faults.0.http.headers={{ X = '{SECRET}' }}", "faults.0.http.headers=***"),
        (f"publish.args=[{{ password = '{SECRET}' }}]", "publish.args=[{'password': '***'}]"),
    ],
)
def test_a_setting_keeps_its_key(setting: str, shown: str) -> None:
    assert safe_setting(setting) == shown
