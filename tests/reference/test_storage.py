"""Revisions are 1, 2, 3, ... per collection, whoever writes and however many at once; on SQLite and on MariaDB."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import IntegrityError

from reference_gateway.errors import SettingError
from reference_gateway.storage.location import sqlite_url, with_driver
from reference_gateway.storage.revisions import RevisionStore
from reference_gateway.storage.schema import revisions
from reference_gateway.wire import MAX_TEXT_BYTES

from .mariadb import PASSWORD


@pytest.fixture(params=["sqlite", pytest.param("mariadb", marks=pytest.mark.e2e)])
def url(request, tmp_path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "r.sqlite3")
    return str(request.getfixturevalue("mariadb").new_database())


def run_with_store(url: str, body: Callable):
    async def scenario():
        store = await RevisionStore.open(url)
        try:
            return await body(store)
        finally:
            await store.close()

    return asyncio.run(scenario())


def test_append_numbers_each_collection_from_one(url):
    async def body(store):
        return [await store.append_revision(name, "url", "x", "ann") for name in ("a", "a", "b", "a")]

    assert run_with_store(url, body) == [1, 2, 1, 3]


def test_append_on_a_database_without_update_returning(tmp_path):
    async def body(store):
        store._engine.dialect.update_returning = False  # as MySQL has it
        return [await store.append_revision(name, "url", "x", "ann") for name in ("a", "a", "b", "a")]

    assert run_with_store(sqlite_url(tmp_path / "r.sqlite3"), body) == [1, 2, 1, 3]


def test_latest_of_an_unknown_collection_is_zero(url):
    async def body(store):
        await store.append_revision("a", "url", "x", "ann")
        return await store.latest("a"), await store.latest("b")

    assert run_with_store(url, body) == (1, 0)


def test_collections_that_look_alike_are_different_ones(url):
    names = ["a", "A", "a ", "ä", "a\u0308", "😀" * 128]

    async def body(store):
        numbers = [await store.append_revision(name, "url", "x", "ann") for name in names]
        return numbers, [await store.latest(name) for name in names]

    assert run_with_store(url, body) == ([1] * len(names), [1] * len(names))


def test_longest_text_of_any_script_is_stored_whole(url):
    longest = "é😀" * (MAX_TEXT_BYTES // 6)

    async def body(store):
        await store.append_revision("a", "ключ", longest, "😀")
        async with store._reads.connect() as connection:
            return tuple((await connection.execute(text("SELECT parameter, text, author FROM revisions"))).one())

    assert run_with_store(url, body) == ("ключ", longest, "😀")


def test_concurrent_appends_leave_neither_gap_nor_repeat(url):
    async def body(store):
        return await asyncio.gather(*(store.append_revision(f"c{i % 3}", "p", "t", "ann") for i in range(90)))

    numbers = run_with_store(url, body)
    for collection in range(3):
        assert sorted(numbers[collection::3]) == list(range(1, 31))


def test_first_edits_of_one_collection_at_once_all_succeed(url):
    async def body(store):
        rounds = [asyncio.gather(*(store.append_revision(f"c{n}", "p", "t", "a") for _ in range(5))) for n in range(20)]
        return [sorted(await one) for one in rounds]

    assert run_with_store(url, body) == [[1, 2, 3, 4, 5]] * 20


def test_stores_of_two_processes_share_one_order(url):
    """The monolith has several processes on one database: none may fail with a locked one, or on a table made twice."""
    script = (
        "import asyncio, sys\n"
        "from reference_gateway.storage.revisions import RevisionStore\n"
        "async def main():\n"
        "    store = await RevisionStore.open(sys.argv[1])\n"
        "    print(sorted(await asyncio.gather(*(store.append_revision('c', 'p', 't', 'a') for _ in range(40)))))\n"
        "    await store.close()\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", script, url]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    numbers = [number for one in both for number in eval(one.communicate(timeout=60)[0])]
    assert sorted(numbers) == list(range(1, 81))


def test_database_itself_refuses_a_repeated_revision(url):
    async def body(store):
        await store.append_revision("a", "url", "x", "ann")
        again = insert(revisions).values(
            collection="a", revision=1, parameter="url", text="y", author="bob", created_ns=0
        )
        with pytest.raises(IntegrityError):
            async with store._writes.begin() as connection:
                await connection.execute(again)

    run_with_store(url, body)


def test_failed_append_stores_nothing(url):
    async def body(store):
        with pytest.raises(IntegrityError):
            await store.append_revision("a", None, "x", "ann")
        return await store.latest("a"), await store.append_revision("a", "url", "x", "ann")

    assert run_with_store(url, body) == (0, 1)


def test_reads_do_not_wait_for_a_writer(url):
    async def body(store):
        await store.append_revision("a", "url", "x", "ann")
        async with store._writes.begin() as writer:
            await writer.execute(text("UPDATE collections SET revision = 7"))
            async with asyncio.timeout(2):
                return await store.latest("a")

    assert run_with_store(url, body) == 1


def test_edits_go_on_when_the_server_has_cut_its_connections(mariadb):
    async def body(store):
        first = await store.append_revision("a", "url", "x", "ann")
        await asyncio.to_thread(mariadb.sql, "KILL USER rg")
        return first, await store.append_revision("a", "url", "y", "ann")

    assert run_with_store(mariadb.new_database(), body) == (1, 2)


def test_database_that_cannot_be_used_is_named_without_its_password(mariadb):
    good = mariadb.new_database()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        away = good.replace(f":{mariadb.port}/", f":{nobody.getsockname()[1]}/")
        for bad, reason in ((good.replace("rg:", "rg:x"), "Access denied"), (away, "Can't connect")):
            with pytest.raises(SettingError, match=rf"mysql.*rg:\*\*\*@127.0.0.1.*{reason}") as caught:
                asyncio.run(RevisionStore.open(bad))
            assert PASSWORD not in str(caught.value)
            assert bad.partition("@")[0].rpartition(":")[2] not in str(caught.value)


def test_open_in_a_missing_folder_names_it(tmp_path):
    with pytest.raises(SettingError, match=r"the folder .*missing does not exist"):
        asyncio.run(RevisionStore.open(sqlite_url(tmp_path / "missing" / "r.sqlite3")))


@pytest.mark.parametrize("url", ["secret", "oracle://u:secret@h/d", "://secret", "mysql:secret"])
def test_url_of_no_known_kind_is_refused_without_repeating_it(url):
    with pytest.raises(SettingError) as caught:
        with_driver(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("mysql://u:p@h/d", "mysql+asyncmy://u:p@h/d"),
        ("mariadb://u:p@h/d", "mysql+asyncmy://u:p@h/d"),
        ("sqlite:////d/f", "sqlite+aiosqlite:////d/f"),
        ("mysql+aiomysql://u:p@h/d", "mysql+aiomysql://u:p@h/d"),
    ],
)
def test_url_gets_the_driver_we_use(url, same):
    assert with_driver(url) == same


def test_file_made_by_an_earlier_release_is_read(tmp_path):
    path = tmp_path / "r.sqlite3"
    with sqlite3.connect(path) as raw:
        raw.execute("CREATE TABLE collections (id VARCHAR(128) NOT NULL PRIMARY KEY, revision BIGINT NOT NULL)")
        raw.execute("INSERT INTO collections VALUES ('a', 3)")
    raw.close()

    async def body(store):
        return await store.latest("a"), await store.append_revision("a", "url", "x", "ann")

    assert run_with_store(sqlite_url(path), body) == (3, 4)
