from __future__ import annotations

import tomllib

import pytest

from loadtest.profile.redaction import redact_url
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
