"""The nursery: one import, many workers, no orphan. Real forks with a stub in place of the real worker."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from loadtest.errors import RunInvalidError
from loadtest.launch.children import Children, last_lines
from loadtest.launch.crew import Crew

pytestmark = pytest.mark.e2e

StartCrew = Callable[..., Crew]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StartCrew]:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    children = Children()

    def start(behaviour: str, workers: int = 2, publishers: int = 1, **more: object) -> Crew:
        settings = {"entry": "stub_worker:run_worker", "grace_s": 0.5} | more
        crew = Crew.start(
            master_host=behaviour,
            master_port=5557,
            profile_path=Path("p.toml"),
            run_id="0badcafe",
            workers=workers,
            publishers=publishers,
            log_dir=tmp_path / "logs",
            **settings,
        )
        children.add(crew.child)
        return crew

    yield start
    children.stop(3.0)


def all_deaths(crew: Crew, wait_until: Callable[..., None]) -> dict[str, int]:
    seen = {end.name: end.status for end in crew.wait_ready()}
    wait_until(lambda: crew.child.poll() is not None)
    return seen | {end.name: end.status for end in crew.deaths()}


def facts_of(crew: Crew, wait_until: Callable[..., None]) -> list[dict]:
    for member in crew.members:
        wait_until(lambda: last_lines(member.log_path))  # noqa: B023 - called at once
    return [json.loads(last_lines(member.log_path)[0]) for member in crew.members]


def test_workers_get_their_arguments_a_clean_loop_and_their_own_dice(
    start: StartCrew, wait_until: Callable[..., None]
) -> None:
    crew = start("stay")
    assert crew.wait_ready() == []
    assert [member.name for member in crew.members] == ["herd-1", "herd-2", "publisher-1"]
    facts = facts_of(crew, wait_until)
    assert [fact["arguments"] for fact in facts] == [
        ["stay", 5557, role, "p.toml", "0badcafe"] for role in ("herd", "herd", "publisher")
    ]
    assert all(fact["forked"] and not fact["hub_before"] and fact["blocked"] == [] for fact in facts)
    assert len({fact["draw"] for fact in facts}) == 3


def test_ends_are_reported_with_their_status(start: StartCrew, wait_until: Callable[..., None]) -> None:
    assert all_deaths(start("return"), wait_until) == {"herd-1": 0, "herd-2": 0, "publisher-1": 0}


def test_a_crash_is_reported_with_the_traceback_as_last_words(
    start: StartCrew, wait_until: Callable[..., None]
) -> None:
    crew = start("fail", workers=1, publishers=0)
    ends = crew.wait_ready()
    wait_until(lambda: ends.extend(crew.deaths()) or ends)
    assert ends[0].status == 1
    assert ends[0].tail[-1] == "RuntimeError: the herd is not at home"
    wait_until(lambda: crew.child.poll() is not None)
    assert crew.child.poll() == 1


def test_an_exit_code_is_kept(start: StartCrew, wait_until: Callable[..., None]) -> None:
    assert all_deaths(start("code", workers=1, publishers=0), wait_until) == {"herd-1": 5}


def test_a_killed_worker_is_reported_and_not_replaced(start: StartCrew, wait_until: Callable[..., None]) -> None:
    crew = start("stay")
    crew.wait_ready()
    victim, *others = crew.members
    os.kill(victim.pid, signal.SIGKILL)
    ends: list = []
    wait_until(lambda: ends.extend(crew.deaths()) or ends)
    assert [(end.name, end.pid, end.status) for end in ends] == [("herd-1", victim.pid, -9)]
    assert list(crew.living) == others
    assert len(crew.members) == 3


def test_term_ends_willing_workers_at_once(start: StartCrew, wait_until: Callable[..., None]) -> None:
    crew = start("stay", grace_s=30.0)
    crew.wait_ready()
    facts_of(crew, wait_until)
    began = time.monotonic()
    crew.child.signal(signal.SIGTERM)
    wait_until(lambda: crew.child.poll() is not None)
    assert time.monotonic() - began < 3.0
    assert {end.name: end.status for end in crew.deaths()} == {"herd-1": -15, "herd-2": -15, "publisher-1": -15}


def test_term_ends_deaf_and_frozen_workers_after_the_grace_period(
    start: StartCrew, wait_until: Callable[..., None], running: Callable[..., bool]
) -> None:
    crew = start("deaf")
    crew.wait_ready()
    facts_of(crew, wait_until)
    os.kill(crew.members[0].pid, signal.SIGSTOP)
    crew.child.signal(signal.SIGTERM)
    wait_until(lambda: crew.child.poll() is not None)
    assert {end.name: end.status for end in crew.deaths()} == {"herd-1": -9, "herd-2": -9, "publisher-1": -9}
    assert not any(running(member.pid) for member in crew.members)


def test_no_worker_survives_a_killed_nursery_and_all_are_accounted_for(
    start: StartCrew, wait_until: Callable[..., None], running: Callable[..., bool]
) -> None:
    crew = start("deaf")
    crew.wait_ready()
    facts_of(crew, wait_until)
    os.kill(crew.child.pid, signal.SIGKILL)
    wait_until(lambda: crew.child.poll() is not None)
    wait_until(lambda: not any(running(member.pid) for member in crew.members))
    assert {end.name: end.status for end in crew.deaths()} == {"herd-1": -9, "herd-2": -9, "publisher-1": -9}
    assert crew.living == ()
    assert crew.deaths() == []


def test_a_nursery_that_cannot_import_its_worker_says_why(start: StartCrew) -> None:
    with pytest.raises(RunInvalidError, match=r"(?s)nursery ended with exit code 1.*No module named 'nowhere'"):
        start("x", entry="nowhere:run").wait_ready()
