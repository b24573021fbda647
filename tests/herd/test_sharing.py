"""How many herds share a core: told once, read everywhere."""

from __future__ import annotations

import os

import pytest

from loadtest.herd import sharing


def test_worker_that_was_told_nothing_has_a_core_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(sharing.VARIABLE, raising=False)
    assert sharing.herds_per_core() == 0
    assert not sharing.are_many()


@pytest.mark.parametrize(("herds", "many"), [(2, False), (8, False), (9, True), (56, True)])
def test_what_is_told_is_read(monkeypatch: pytest.MonkeyPatch, herds: int, many: bool) -> None:
    monkeypatch.setenv(sharing.VARIABLE, "")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    assert sharing.tell(herds) == herds / 2 == sharing.herds_per_core()
    assert sharing.are_many() is many
