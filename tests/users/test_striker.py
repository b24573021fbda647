"""Faults on the master: the profile's by name, others by hand, all taken back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, cast

import gevent
import gevent.event
import pytest
from locust.env import Environment

from loadtest.errors import UsageError
from loadtest.faults.fault import Fault, FaultContext, FaultFailedError
from loadtest.profile.fault import LastingFault
from loadtest.profile.faults import DeployFault, DropFault
from loadtest.profile.loader import load_profile
from loadtest.results.folder import RunFolder
from loadtest.users import striker as striker_module
from loadtest.users.master_bridge import MasterBridge
from loadtest.users.recorder import Recorder
from loadtest.users.striker import Striker


class _Watching:
    def __init__(self) -> None:
        self.marks: list[str] = []

    def feed(self, line: Any) -> None:
        pass

    def mark(self, mark: Any) -> None:
        self.marks.append(mark["mark"])


class _Held(Fault):
    """A fault that takes until it is let go, and may fail then."""

    def __init__(self, fails: bool = False) -> None:
        self.go, self.fails, self.undone = gevent.event.Event(), fails, 0

    def apply(self, context: FaultContext) -> None:
        self.go.wait()
        if self.fails:
            raise FaultFailedError("fault deploy: the stack said no")

    def undo(self, context: FaultContext) -> None:
        self.undone += 1


@pytest.fixture
def recorder(tmp_path: Path) -> Any:
    environment = Environment()
    environment.create_local_runner()
    bridge = MasterBridge(environment)
    profile = load_profile("smoke")
    with RunFolder.create(tmp_path, "smoke") as folder:
        recorder = Recorder(bridge, profile, folder, _Watching(), [], {})
        recorder.begin()
        yield recorder
    environment.runner.quit()  # type: ignore[union-attr]


def watching(recorder: Recorder) -> list[str]:
    return cast(_Watching, recorder._observer).marks


def settle(until: Callable[[], bool]) -> None:
    with gevent.Timeout(5):
        while not until():
            gevent.sleep(0)


def test_a_fault_is_under_way_from_the_moment_it_is_struck(recorder: Recorder) -> None:
    held = _Held()
    striker = Striker(recorder, {"deploy": held}, None)
    striker.strike("deploy")
    assert striker.under_way == ("deploy",)  # nothing ran in between
    held.go.set()
    settle(lambda: not striker.under_way)
    assert watching(recorder) == ["deploy"]
    assert list(recorder.books.events) == ["deploy"]


@pytest.mark.parametrize("fails", [False, True])
def test_the_event_of_a_fault_is_at_work_until_it_is_applied_or_has_failed(recorder: Recorder, fails: bool) -> None:
    held = _Held(fails)
    striker = Striker(recorder, {"deploy": held}, None)
    striker.strike("deploy")
    settle(lambda: "deploy" in recorder.books.events)
    event = recorder.books.events["deploy"]
    settle(lambda: event.at_work)
    held.go.set()
    settle(lambda: not striker.under_way)
    assert not event.at_work
    assert event.acted_ns > event.t0_ns


def test_names_of_faults_by_hand_are_unique_in_the_run(recorder: Recorder) -> None:
    striker = Striker(recorder, {"deploy": _Held()}, None)
    drop = DropFault(name="deploy", kind="drop")
    assert [striker.strike_now(drop), striker.strike_now(drop)] == ["deploy-2", "deploy-3"]
    settle(lambda: not striker.under_way)
    assert watching(recorder) == ["deploy-2", "deploy-3"]


def test_a_fault_that_this_target_cannot_have_is_refused_and_not_begun(recorder: Recorder) -> None:
    striker = Striker(recorder, {}, None)
    with pytest.raises(UsageError, match="needs a stack that loadtest starts"):
        striker.strike_now(DeployFault(name="deploy", kind="deploy"))
    assert striker.under_way == ()
    assert recorder.books.events == {}


def test_a_fault_that_fails_makes_the_run_invalid(recorder: Recorder) -> None:
    held = _Held(fails=True)
    striker = Striker(recorder, {"deploy": held}, None)
    striker.strike("deploy")
    held.go.set()
    settle(lambda: not striker.under_way)
    assert recorder.verdict.invalid == ["fault deploy: the stack said no."]


def test_what_was_begun_is_taken_back_even_in_the_middle(recorder: Recorder) -> None:
    begun, never = _Held(), _Held()
    striker = Striker(recorder, {"deploy": begun, "other": never}, None)
    striker.strike("deploy")
    gevent.sleep(0)
    striker.undo()
    assert (begun.undone, never.undone) == (1, 0)
    assert striker.under_way == ()


def test_the_drop_is_told_to_the_herds(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(recorder.bridge, "tell", lambda name, data: told.append(json.dumps([name, data])))
    striker = Striker(recorder, {}, None)
    striker.strike_now(DropFault.model_validate({"kind": "drop", "share": "25%", "how": "reset"}))
    settle(lambda: not striker.under_way)
    order = {"id": "drop", "seed": 1, "kind": "drop", "reset": True, "share": 0.25}
    assert json.dumps(["loadtest.afflict", order]) in told


class _Cold(LastingFault):
    kind: Literal["cold"] = "cold"


class _Placed(Fault):
    """A fault that lasts: what was done to it, in order."""

    def __init__(self, log: list[str], name: str, fails: bool = False) -> None:
        self.log, self.name, self.fails = log, name, fails

    def apply(self, context: FaultContext) -> None:
        self.log.append(f"+{self.name}")
        if self.fails:
            raise FaultFailedError(f"fault {self.name}: half of it")

    def undo(self, context: FaultContext) -> None:
        self.log.append(f"-{self.name}")


@pytest.fixture
def placed(recorder: Recorder) -> Any:
    """Return `place(name, duration)`, which readies a lasting fault, and the log of what was done."""
    log: list[str] = []
    striker = Striker(recorder, {}, None)

    def place(name: str, duration: str | None = None, fails: bool = False) -> str:
        table = {"name": name} | ({"duration": duration} if duration else {})
        striker._settings[name] = cast(Any, _Cold.model_validate(table))
        striker._faults[name] = _Placed(log, name, fails)
        return name

    yield place, striker, log
    striker.undo()


def test_a_lasting_fault_is_taken_back_when_its_time_is_up(recorder: Recorder, placed: Any) -> None:
    place, striker, log = placed
    striker.strike(place("cold", "20ms"))
    settle(lambda: striker.in_place == ("cold",))
    assert recorder.books.events["cold"].lasts
    assert striker.under_way == ()
    settle(lambda: not striker.in_place)
    settle(lambda: not striker.under_way)
    assert log == ["+cold", "-cold"]
    striker.undo()
    assert log == ["+cold", "-cold"], "once"
    assert watching(recorder) == ["cold", "cold taken back"]
    figures = recorder.books.events["cold"].more(recorder.books.zero_ns)
    assert figures["undone_at_s"] >= recorder.elapsed_s(recorder.books.events["cold"].t0_ns) + 0.02


def test_without_a_duration_it_lasts_to_the_end_and_the_last_one_ends_first(placed: Any) -> None:
    place, striker, log = placed
    striker.strike(place("one"))
    settle(lambda: striker.in_place == ("one",))
    striker._settings["other"] = DropFault(name="other", kind="drop")
    striker._faults["other"] = _Placed(log, "other")
    striker.strike("other")
    settle(lambda: "+other" in log and not striker.under_way)
    striker.undo()
    assert log == ["+one", "+other", "-other", "-one"]


def test_a_lasting_fault_can_be_taken_back_by_hand(placed: Any) -> None:
    place, striker, log = placed
    striker.strike(place("cold"))
    settle(lambda: striker.in_place == ("cold",))
    striker.take_back("cold")
    settle(lambda: log == ["+cold", "-cold"])
    with pytest.raises(UsageError, match="cold is not in place"):
        striker.take_back("cold")


def test_a_fault_that_failed_in_the_middle_is_taken_back_at_once(recorder: Recorder, placed: Any) -> None:
    place, striker, log = placed
    striker.strike(place("cold", fails=True))
    settle(lambda: log == ["+cold", "-cold"])
    assert striker.in_place == ()
    assert recorder.verdict.invalid == ["fault cold: half of it."]


def test_whatever_a_fault_raises_makes_the_run_invalid(
    recorder: Recorder, placed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, striker, _ = placed
    monkeypatch.setattr(_Placed, "apply", lambda *_: {}["power"])
    striker.strike(place("cold"))
    settle(lambda: bool(recorder.verdict.invalid))
    assert recorder.verdict.invalid == ["fault cold: KeyError: 'power'."]


def test_two_that_hold_the_same_are_never_in_place_together(
    recorder: Recorder, placed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, striker, log = placed
    striker.strike(place("first", "30ms"))
    settle(lambda: striker.in_place == ("first",))
    striker.strike(place("second"))  # on its heels: it waits for the other to be gone
    settle(lambda: striker.in_place == ("second",))
    assert log == ["+first", "-first", "+second"]
    monkeypatch.setattr(striker_module, "ROOM_TIMEOUT_S", 0)
    striker.strike(place("third"))
    settle(lambda: bool(recorder.verdict.invalid))
    assert recorder.verdict.invalid == ["fault third: cold is held by second, which is in place."]
    assert log == ["+first", "-first", "+second"], "what did not begin is not taken back"
