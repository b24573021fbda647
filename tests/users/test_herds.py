"""Who gets room where: one herd while the files do, descriptor tables when they do not."""

from __future__ import annotations

import resource

import pytest

from loadtest.clock import now_ns
from loadtest.herd.herd import Herd
from loadtest.metrics.ledger import Announced
from loadtest.users import descriptor_table
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
    made = Herds(lambda: engine, lambda profile: Plan(profile, "0123abcd"))
    yield made
    made.close()


def room(herds: Herds, *, connections: int, **more) -> Herd:
    asked = {"listening": True, "hooks": None, "size": 80} | more
    herd = herds.room("viewers", chat(), connections=connections, **asked)
    start = len(herd)
    herd.add(range(start, start + 80))
    return herd


def test_one_herd_holds_what_the_process_may_open(herds) -> None:
    assert not herds
    found = {id(room(herds, connections=160)) for _ in range(2)}
    assert len(found) == 1
    assert [type(herd) for herd in herds] == [Herd]
    assert herds


def test_more_than_that_is_spread_over_tables_whole_users_each(herds, engine) -> None:
    for _ in range(5):
        room(herds, connections=400)
    assert [(type(herd), len(herd)) for herd in herds] == [(HerdApart, 160), (HerdApart, 160), (HerdApart, 80)]
    assert len({herd.thread for herd in herds}) == 3
    assert engine.herds == herds.listening == list(herds)


def test_no_two_herds_of_a_worker_return_at_the_same_moments(herds) -> None:
    for _ in range(3):
        room(herds, connections=400)
    first, second = ([herd._rng.random() for _ in range(3)] for herd in herds)
    assert first != second


@pytest.mark.parametrize("more", [{"hooks": Hooks()}, {"kind": type("OfALibrary", (Herd,), {})}])
def test_who_has_hooks_or_brings_a_herd_of_its_own_has_one(herds, more: dict) -> None:
    found = {id(room(herds, connections=400, **more)) for _ in range(4)}
    assert len(found) == 1
    assert not any(isinstance(herd, HerdApart) for herd in herds)


def test_where_the_system_allows_no_tables_there_is_one_herd(herds, monkeypatch) -> None:
    """As before there were tables: the connections that find no descriptor fail, the others are held."""
    monkeypatch.setattr(descriptor_table, "most", lambda: 1)
    assert len({id(room(herds, connections=400)) for _ in range(5)}) == 1


def test_all_that_listen_expect_a_message(herds) -> None:
    for _ in range(3):
        room(herds, connections=400)
    now = now_ns()
    for late_ns in (0, 1):  # the second one contradicts the first: whoever took that in counts it
        herds.enter(Announced(0, 1, 1, now, late_ns))
    assert [herd.ledger._delivery.counts["announced_twice"] for herd in herds] == [1, 1]
