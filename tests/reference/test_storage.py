"""Revisions are 1, 2, 3, ... per collection, whoever writes and however many at once."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys

import pytest
from sqlalchemy.exc import IntegrityError

from reference_gateway.errors import SettingError
from reference_gateway.storage.location import sqlite_url
from reference_gateway.storage.revisions import RevisionStore


def run_with_store(path, body):
    async def scenario():
        store = await RevisionStore.open(sqlite_url(path))
        try:
            return await body(store)
        finally:
            await store.close()

    return asyncio.run(scenario())


def test_append_numbers_each_collection_from_one(tmp_path):
    async def body(store):
        return [await store.append_revision(name, "url", "x", "ann") for name in ("a", "a", "b", "a")]

    assert run_with_store(tmp_path / "r.sqlite3", body) == [1, 2, 1, 3]


def test_append_on_a_database_without_update_returning(tmp_path):
    async def body(store):
        store._engine.dialect.update_returning = False  # as MySQL has it
        return [await store.append_revision(name, "url", "x", "ann") for name in ("a", "a", "b", "a")]

    assert run_with_store(tmp_path / "r.sqlite3", body) == [1, 2, 1, 3]


def test_latest_of_an_unknown_collection_is_zero(tmp_path):
    async def body(store):
        await store.append_revision("a", "url", "x", "ann")
        return await store.latest("a"), await store.latest("b")

    assert run_with_store(tmp_path / "r.sqlite3", body) == (1, 0)


def test_concurrent_appends_leave_neither_gap_nor_repeat(tmp_path):
    async def body(store):
        return await asyncio.gather(*(store.append_revision(f"c{i % 3}", "p", "t", "ann") for i in range(90)))

    numbers = run_with_store(tmp_path / "r.sqlite3", body)
    for collection in range(3):
        assert sorted(numbers[collection::3]) == list(range(1, 31))


def test_stores_of_two_processes_share_one_order(tmp_path):
    """The monolith has several processes on one file: none may fail with a locked database."""
    script = (
        "import asyncio, sys\n"
        "from reference_gateway.storage.revisions import RevisionStore\n"
        "async def main():\n"
        "    store = await RevisionStore.open(sys.argv[1])\n"
        "    print(sorted(await asyncio.gather(*(store.append_revision('c', 'p', 't', 'a') for _ in range(40)))))\n"
        "    await store.close()\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", script, sqlite_url(tmp_path / "r.sqlite3")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    numbers = [number for one in both for number in eval(one.communicate(timeout=60)[0])]
    assert sorted(numbers) == list(range(1, 81))


def test_database_itself_refuses_a_repeated_revision(tmp_path):
    path = tmp_path / "r.sqlite3"

    async def body(store):
        await store.append_revision("a", "url", "x", "ann")

    run_with_store(path, body)
    with sqlite3.connect(path) as raw:
        insert = "INSERT INTO revisions(collection, revision, parameter, text, author, created_ns) VALUES (?,?,?,?,?,?)"
        with pytest.raises(sqlite3.IntegrityError):
            raw.execute(insert, ("a", 1, "url", "y", "bob", 0))
    raw.close()


def test_failed_append_stores_nothing(tmp_path):
    async def body(store):
        with pytest.raises(IntegrityError):
            await store.append_revision("a", None, "x", "ann")
        return await store.latest("a"), await store.append_revision("a", "url", "x", "ann")

    assert run_with_store(tmp_path / "r.sqlite3", body) == (0, 1)


def test_reads_do_not_wait_for_a_writer(tmp_path):
    path = tmp_path / "r.sqlite3"

    async def body(store):
        await store.append_revision("a", "url", "x", "ann")
        writer = sqlite3.connect(path, isolation_level=None)
        writer.execute("BEGIN IMMEDIATE")
        try:
            async with asyncio.timeout(2):
                return await store.latest("a")
        finally:
            writer.execute("ROLLBACK")
            writer.close()

    assert run_with_store(path, body) == 1


def test_open_in_a_missing_folder_names_it(tmp_path):
    with pytest.raises(SettingError, match=r"the folder .*missing does not exist"):
        asyncio.run(RevisionStore.open(sqlite_url(tmp_path / "missing" / "r.sqlite3")))
