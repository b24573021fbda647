"""The profile of a user class under plain Locust: path or content, aimed by --host, without what breaks things."""

from __future__ import annotations

import pytest
from locust import User

from loadtest.errors import ProfileError, UsageError
from loadtest.users.attach import load_for
from tests.users.conftest import CHAT

URL = "ws://127.0.0.1:9/"
CONTENT = {"target": {"url": URL}, "population": {"herd_size": 50}}
FAULT = '[[faults]]\nname = "cut"\nkind = "drop"\n'


def user(given: object) -> type[User]:
    return type("Viewer", (User,), {"profile": given})


def test_content_may_leave_out_what_locust_says(environment) -> None:
    profile = load_for(environment, user(CONTENT), 120)
    assert (profile.name, profile.population.connections, profile.population.herd_size) == ("locust", 120, 50)


def test_faults_and_the_thresholds_on_them_stay_at_home(environment, tmp_path) -> None:
    path = tmp_path / "chat.toml"
    more = 'thresholds = ["delivery.lost == 0", "events.cut.t_sub.99 < 1s"]\n'
    path.write_text(more + CHAT.format(url=URL, connections=20) + FAULT)
    profile = load_for(environment, user(str(path)))
    assert (profile.name, profile.faults, profile.thresholds) == ("chat", (), ("delivery.lost == 0",))
    content = CONTENT | {"faults": [{"kind": "drop", "name": "cut"}], "thresholds": ["events.cut.t_sub.99 < 1s"]}
    assert load_for(environment, user(content)).thresholds == ()


def test_host_aims_the_profile(environment) -> None:
    environment.host = "ws://127.0.0.2:8/"
    assert load_for(environment, user(CONTENT)).target.urls == ("ws://127.0.0.2:8/",)


def test_a_shipped_profile_needs_a_host_by_the_time_it_runs(environment) -> None:
    assert load_for(environment, user("smoke"), aimed=False).name == "smoke"
    with pytest.raises(UsageError, match="name the gateway with --host"):
        load_for(environment, user("smoke"))


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (None, UsageError, "Viewer names no profile"),
        ("smokey", UsageError, 'did you mean "smoke"'),
        (CONTENT | {"duratoin": "5s"}, ProfileError, "duratoin"),
        (CONTENT | {"publish": {"rate": None}}, UsageError, "the profile of Viewer"),
        (CONTENT | {"population": 7}, ProfileError, "population"),
        (CONTENT | {"thresholds": ["fast"]}, UsageError, "fast"),
        (CONTENT | {"thresholds": "fast"}, ProfileError, "thresholds"),
    ],
)
def test_what_is_wrong_is_said_with_the_name_of_the_class(environment, given, error, words) -> None:
    with pytest.raises(error, match=words):
        load_for(environment, user(given))
