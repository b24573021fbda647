"""Who may take part in a run, and what the others are told."""

from __future__ import annotations

import pytest

from loadtest import __version__
from loadtest.users.attach import DEFAULT_PROFILE
from loadtest.users.herd_user import HerdUser
from loadtest.users.muster import Needs, unfit, users_of
from loadtest.users.profile_users import Population, Publisher
from tests.users.conftest import chat


def hello(**more: object) -> dict:
    return {"version": __version__, "role": "any", "users": {"Viewer": "abc"}} | more


class Viewer(HerdUser):
    profile = chat()


@pytest.mark.parametrize("sends_profile", [False, True])
def test_the_same_version_users_and_profile_are_welcome(sends_profile: bool) -> None:
    assert unfit(hello(), Needs({"Viewer": "abc"}, sends_profile)) == ""
    assert unfit(hello(users={"Viewer": "abc", "Other": "x"}), Needs({"Viewer": "abc"}, sends_profile)) == ""


@pytest.mark.parametrize(
    ("said", "sends_profile", "words"),
    [
        ({"version": "9.9.9"}, True, f"it runs version 9.9.9, the master {__version__}"),
        ({"version": ["9"] * 99}, True, "it runs version ['9', '9'"),
        ({"role": "spy"}, True, "it has the role 'spy'; there are herd, publisher, any"),
        ({"users": None}, True, "it does not say which users it has"),
        ({"users": {}}, True, "the run deals the users Viewer, its locustfile has none; join with loadtest worker"),
        ({"users": {"Mine": ""}}, False, "its locustfile has Mine;"),
        ({"users": {"Viewer": "xyz"}}, True, "its Viewer has another profile than the run's; leave --loadtest-profile"),
        ({"users": {"Viewer": "xyz"}}, False, "its Viewer has another profile than the master's; give it the same"),
    ],
)
def test_what_does_not_fit_is_said(said: dict, sends_profile: bool, words: str) -> None:
    assert words in unfit(hello(**said), Needs({"Viewer": "abc"}, sends_profile))


@pytest.mark.parametrize("sends_profile", [False, True])
def test_a_worker_without_a_profile_takes_the_one_that_is_sent(sends_profile: bool) -> None:
    assert unfit(hello(users={"Viewer": ""}), Needs({"Viewer": "abc"}, sends_profile)) == ""


def test_users_are_told_with_the_hash_of_the_profile_they_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert users_of([Population, Publisher]) == {"Population": "", "Publisher": ""}
    assert users_of([Viewer]) == {"Viewer": chat().sha256}
    monkeypatch.setattr(Viewer, "profile", DEFAULT_PROFILE)
    assert users_of([Viewer]) == {"Viewer": ""}
