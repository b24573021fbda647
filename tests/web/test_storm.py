"""Fault buttons: one event however many press, and nothing that a profile does not allow."""

from __future__ import annotations

from typing import Any, get_args

import gevent
import pytest

from loadtest.clock import FakeClock
from loadtest.errors import UsageError
from loadtest.faults.drop import DropFault
from loadtest.faults.fault import Control
from loadtest.faults.part import PartFault
from loadtest.profile.faults import KINDS, Fault
from loadtest.relay.control import Remote
from loadtest.web.storm import TOGETHER_S, Storm
from loadtest.web.watch import Watch

from .test_history import line

DEPLOY = {"kind": "deploy", "strategy": "rolling", "drain_seconds": 0}
DROP = {"kind": "drop", "share": "25%", "how": "reset"}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def storm(watch: Watch, clock: FakeClock) -> Storm:
    return Storm(watch, clock)


def settle(watch: Watch) -> None:
    assert watch.striker is not None
    with gevent.Timeout(5):
        while watch.striker.under_way:
            gevent.sleep(0)


def test_two_presses_at_once_are_one_event_and_both_are_told(watch: Watch, storm: Storm, clock: FakeClock) -> None:
    first = storm.press(DROP)
    clock.advance(0.2)
    second = storm.press({**DROP, "share": "50%"})
    assert (first["event"], first["joined"]) == ("drop", False)
    assert (second["event"], second["joined"], second["ago_s"]) == ("drop", True, 0.2)
    settle(watch)
    assert watch.recorder is not None
    assert list(watch.recorder.books.events) == ["drop"]


def test_a_press_some_time_later_is_another_event(watch: Watch, storm: Storm, clock: FakeClock) -> None:
    storm.press(DROP)
    settle(watch)
    clock.advance(TOGETHER_S + 0.1)
    assert storm.press(DROP) == {"event": "drop-2", "joined": False, "ago_s": 0.0}


def test_a_long_fault_is_joined_as_long_as_it_is_applied(
    watch: Watch, storm: Storm, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DropFault, "apply", lambda *_: gevent.sleep(60))
    storm.press(DROP)
    gevent.sleep(0)
    clock.advance(60)
    assert storm.press(DROP)["joined"] is True
    with pytest.raises(UsageError, match="drop is still being applied"):
        storm.press(DEPLOY)


def test_a_fault_of_the_profile_can_be_struck_again_by_its_name(watch: Watch, storm: Storm) -> None:
    assert storm.choices() == [{"name": "half", "kind": "drop"}]
    assert storm.press({"kind": "again", "name": "half"})["event"] == "half-2"  # the profile's own is "half"


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ({"kind": "command", "command": "touch /tmp/x"}, 'is "deploy", "drop", .*or one of the profile'),
        ({"kind": "http", "http": {"url": "http://x/"}}, 'is "deploy", "drop", .*or one of the profile'),
        ({}, 'is "deploy", "drop", .*or one of the profile'),
        ({"kind": ["deploy"]}, 'is "deploy", "drop", .*or one of the profile'),
        ({"kind": "again", "name": "other"}, "no such fault"),
        ({"kind": "deploy", "strategy": "sideways"}, "strategy"),
        ({"kind": "deploy", "drain_seconds": -1}, "drain_seconds"),
        ({"kind": "drop", "share": "0%"}, "share"),
        ({"kind": "drop", "share": {"a": 1}}, "share"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_struck(
    watch: Watch, storm: Storm, order: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        storm.press(order)
    assert watch.striker is not None
    assert watch.striker.under_way == ()


def test_what_lasts_has_a_duration_and_can_be_taken_back(
    watch: Watch, storm: Storm, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert watch.striker is not None
    done: list[str] = []
    monkeypatch.setattr(watch.striker, "afflict", lambda name, order: done.append(f"+{name} {order['kind']}") or 5)
    monkeypatch.setattr(watch.striker, "relieve", lambda name: done.append(f"-{name}") or {})
    with pytest.raises(UsageError, match="duration: a fault that lasts"):
        storm.press({"kind": "blackhole", "share": "10%"})
    storm.press({"kind": "blackhole", "share": "10%", "duration": "60s", "after_steady": "9s"})
    with gevent.Timeout(5):
        while not storm.in_place():
            gevent.sleep(0)
    assert storm.in_place() == ["blackhole"]
    assert storm.press({"kind": "back", "name": "blackhole"})["back"] is True
    with gevent.Timeout(5):
        while storm.in_place():
            gevent.sleep(0)
    assert done == ["+blackhole blackhole", "-blackhole"]
    with pytest.raises(UsageError, match="blackhole is not in place"):
        storm.press({"kind": "back", "name": "blackhole"})


def test_faults_of_the_network_are_offered_where_there_is_a_relay(watch: Watch, storm: Storm) -> None:
    assert watch.striker is not None
    offered = {each["kind"]: each["keys"] for each in storm.lasting()}
    assert offered["slow-reader"] == ["share", "bytes_per_s", "duration"]
    assert "network-cut" not in offered
    with pytest.raises(UsageError, match="needs a relay"):
        storm.press({"kind": "network-cut", "share": "10%", "duration": "1s"})
    watch.striker.relays = [Remote("nobody")]
    assert "network-cut" in {each["kind"] for each in storm.lasting()}


PARTS = {
    "broker": ("kill", "down", "freeze", "slow"),
    "gateway-1": ("kill", "down", "freeze", "slow"),
    "gateway-2": ("kill", "down", "freeze", "slow"),
    "control": (),
    "storage": ("database-slow", "database-down"),
}


def started_with(watch: Watch, monkeypatch: pytest.MonkeyPatch, parts: dict[str, tuple[str, ...]]) -> list[str]:
    """Have the run's stack have these parts; return a list in which each order to it is noted."""
    assert watch.striker is not None
    done: list[str] = []
    monkeypatch.setattr(watch.striker, "_control", Control("http://127.0.0.1:9", "secret-of-the-stack", parts))
    for act in ("apply", "undo"):
        note = lambda fault, _, act=act: done.append(f"{act} {fault.settings.kind} {fault.settings.part}")  # noqa: E731
        monkeypatch.setattr(PartFault, act, note)
    return done


def test_parts_that_the_target_has_are_offered_and_what_it_lacks_has_a_reason(
    watch: Watch, storm: Storm, monkeypatch: pytest.MonkeyPatch
) -> None:
    started_with(watch, monkeypatch, PARTS)
    offered = {each["kind"]: each for each in storm.offer()["of_parts"]}
    assert offered["freeze"]["parts"] == ["broker", "gateway-1", "gateway-2", "gateway-*"]
    assert offered["slow"]["keys"] == ["part", "share", "duration"]
    assert offered["database-slow"] == {
        "kind": "database-slow",
        "keys": ["part", "delay", "duration"],
        "parts": ["storage"],
        "why_not": "",
    }
    lacking = {kind: each["why_not"] for kind, each in offered.items() if not each["parts"]}
    assert set(lacking) == {"partition", "replica-lag", "failover"}
    assert "bifrost-6" in lacking["failover"]
    assert "relays before the broker" in lacking["partition"]
    assert not {each["kind"] for each in storm.lasting()} & set(offered), "each fault has one place on the page"


def test_every_fault_of_a_part_can_be_struck_from_the_page(watch: Watch, storm: Storm, monkeypatch) -> None:
    started_with(watch, monkeypatch, PARTS)
    needs_stack = {kind for kind, model in zip(KINDS, get_args(get_args(Fault)[0]), strict=True) if model.needs_stack}
    assert {each["kind"] for each in storm.of_parts()} == needs_stack - {"deploy"}


def test_a_part_is_struck_for_a_while(watch: Watch, storm: Storm, monkeypatch: pytest.MonkeyPatch) -> None:
    done = started_with(watch, monkeypatch, PARTS)
    slow = {"kind": "slow", "part": "gateway-*", "share": "25%"}
    with pytest.raises(UsageError, match="duration: a fault that lasts"):
        storm.press(slow)
    assert storm.press({**slow, "duration": "50ms", "how": "silence"})["event"] == "slow"
    with gevent.Timeout(5):
        while len(done) < 2:
            gevent.sleep(0.01)
    assert done == ["apply slow gateway-*", "undo slow gateway-*"]
    assert storm.press({"kind": "kill", "part": "gateway-2"})["event"] == "kill"
    settle(watch)
    assert done[2:] == ["apply kill gateway-2"]


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ({"kind": "partition", "part": "broker", "duration": "1s"}, "cannot have"),
        ({"kind": "freeze", "part": "monolith", "duration": "1s"}, "monolith"),
        ({"kind": "freeze", "part": "../../x", "duration": "1s"}, "part"),
        ({"kind": "freeze", "duration": "1s"}, "part"),
        ({"kind": "slow", "part": "broker", "share": "0%", "duration": "1s"}, "share"),
        ({"kind": "database-slow", "part": "storage", "duration": "1s"}, "delay"),
    ],
)
def test_what_the_parts_cannot_have_is_refused(
    watch: Watch, storm: Storm, monkeypatch: pytest.MonkeyPatch, order: dict[str, Any], words: str
) -> None:
    done = started_with(watch, monkeypatch, PARTS)
    with pytest.raises(UsageError, match=words):
        storm.press(order)
    assert done == []


def test_a_target_of_somebody_else_has_no_parts(watch: Watch, storm: Storm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch.striker, "_control", None)
    assert storm.of_parts() == []
    with pytest.raises(UsageError, match="kill"):
        storm.press({"kind": "kill", "part": "gateway-1"})


def test_nothing_can_be_struck_outside_a_run(watch: Watch, storm: Storm) -> None:
    watch.feed(line(9.0, phase="drain"))
    with pytest.raises(UsageError, match="drain"):
        storm.press(DROP)
    watch.leave({"verdict": "pass"})
    with pytest.raises(UsageError, match="no run is under way"):
        storm.press(DROP)
    with pytest.raises(UsageError, match="no run is under way"):
        Storm(Watch()).press(DROP)
