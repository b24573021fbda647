"""Who gets room where: one herd while the files do, descriptor tables when they do not."""

from __future__ import annotations

import resource

import pytest

from loadtest.clock import now_ns
from loadtest.errors import UsageError
from loadtest.herd.herd import Herd
from loadtest.metrics.ledger import Announced
from loadtest.users import apart
from loadtest.users.apart import HerdApart
from loadtest.users.build import Plan
from loadtest.users.engine import Engine
from loadtest.users.herds import Herds
from tests.users.conftest import chat


class Hooks:
    """Somebody who wants to be told of everything."""

    def connected(self, slot: int) -> None: ...
    def message(self, slot: int, message: object) -> None: ...
    def acked(self, slot: int, answer: object) -> None: ...
    def disconnected(self, slot: int, reason: str) -> None: ...


@pytest.fixture
def engine():
    made = Engine()
    yield made
    made.stop()


@pytest.fixture
def herds(engine, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (200, 200))  # a table holds 176
    made = Herds()
    yield made
    made.close(engine)


def room(herds: Herds, engine: Engine, *, connections: int, **more) -> Herd:
    asked = {"listening": True, "hooks": None, "size": 80} | more
    herd = herds.room("viewers", Plan(chat(), "0123abcd"), engine, connections=connections, **asked)
    start = len(herd)
    herd.add(range(start, start + 80))
    return herd


def test_one_herd_holds_what_the_process_may_open(herds, engine) -> None:
    assert not herds
    found = {id(room(herds, engine, connections=160)) for _ in range(2)}
    assert len(found) == 1
    assert [type(herd) for herd in herds] == [Herd]
    assert herds


def test_more_than_that_is_spread_over_tables_whole_users_each(herds, engine) -> None:
    for _ in range(5):
        room(herds, engine, connections=400)
    assert [(type(herd), len(herd)) for herd in herds] == [(HerdApart, 160), (HerdApart, 160), (HerdApart, 80)]
    assert len({herd.thread for herd in herds}) == 3
    assert engine.herds == herds.listening == list(herds)


def test_no_two_herds_of_a_worker_return_at_the_same_moments(herds, engine) -> None:
    for _ in range(3):
        room(herds, engine, connections=400)
    first, second = ([herd._rng.random() for _ in range(3)] for herd in herds)
    assert first != second


@pytest.mark.parametrize("more", [{"hooks": Hooks()}, {"kind": type("OfALibrary", (Herd,), {})}])
def test_who_has_hooks_or_brings_a_herd_of_its_own_has_one(herds, engine, more: dict) -> None:
    found = {id(room(herds, engine, connections=400, **more)) for _ in range(4)}
    assert len(found) == 1
    assert not any(isinstance(herd, HerdApart) for herd in herds)


def test_system_that_allows_no_tables_is_named_with_the_remedy(herds, engine, monkeypatch) -> None:
    def forbidden(_: object) -> None:
        raise PermissionError(1, "no descriptor table for a thread: Operation not permitted")

    monkeypatch.setattr(apart, "DescriptorTable", forbidden)
    with pytest.raises(UsageError, match=r"no descriptor table .*; more --workers, or a higher ulimit -n"):
        room(herds, engine, connections=400)


def test_all_that_listen_expect_a_message(herds, engine) -> None:
    for _ in range(3):
        room(herds, engine, connections=400)
    now = now_ns()
    for late_ns in (0, 1):  # the second one contradicts the first: whoever took that in counts it
        herds.enter(Announced(0, 1, 1, now, late_ns))
    assert [herd.ledger._delivery.counts["announced_twice"] for herd in herds] == [1, 1]
