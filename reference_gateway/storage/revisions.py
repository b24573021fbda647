"""The one way to the database: append a revision, read the latest one.

    append_revision --> BEGIN (IMMEDIATE) - bump the collection - insert the revision - COMMIT --> number
    latest          --> one read, beside the writers

Law: an append is one transaction; the number it returns is committed. On SQLite writers queue here (one at a time) and
then for the file's write lock, never failing midway with "database is locked"; elsewhere the row lock of the collection
orders them, and who meets another's first edit, or is picked to end a deadlock, begins again. The statements are plain
SQL; tests run the same ones on SQLite and MariaDB.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, event, insert, select, update
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from reference_gateway.errors import SettingError
from reference_gateway.storage.location import with_driver
from reference_gateway.storage.schema import collections, metadata, revisions
from reference_gateway.storage.suffering import suffer

_WRITES: Final = "reference_gateway_writes"
_BUSY_TIMEOUT_MS: Final = 10_000
_ATTEMPTS: Final = 5
_CONNECT_TIMEOUT_S: Final = 10
_DEADLOCK: Final = 1213  # MySQL's ER_LOCK_DEADLOCK: this transaction was rolled back, so that the others go on


class RevisionStore:
    """Collections and revisions in one database, shared by everything in this process.

    Use `await RevisionStore.open(url)`, and `close` when done.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reads = engine.execution_options(isolation_level="AUTOCOMMIT") if not _is_sqlite(engine) else engine
        self._writes = engine.execution_options(**{_WRITES: True})
        self._writer: contextlib.AbstractAsyncContextManager[Any] = (
            asyncio.Lock() if _is_sqlite(engine) else contextlib.nullcontext()
        )

    @classmethod
    async def open(cls, url: str, pool_size: int = 5, trouble_file: Path | None = None) -> RevisionStore:
        """Connect to `url` and create what is missing of the schema.

        Args:
            url: see `location`, e.g. `sqlite:////tmp/r.sqlite3` or `mysql://user:password@host/database`.
            pool_size: connections kept; an await for a free one is what a saturated pool looks like.
            trouble_file: where trouble of the database is told of (`trouble`); None = never any.

        Raises:
            SettingError: the database cannot be reached or used; the message hides the password.
        """
        try:
            where = make_url(with_driver(url))
        except ArgumentError:  # it repeats the URL
            raise SettingError("DATABASE_URL is not a URL") from None
        _check_folder(where)
        shown = where.render_as_string(hide_password=True)
        try:
            engine = create_async_engine(
                where, pool_size=pool_size, max_overflow=0, pool_timeout=30, **_options(where.get_backend_name())
            )
        except (ArgumentError, ModuleNotFoundError) as error:
            raise SettingError(f"DATABASE_URL: no driver for {shown}: {error}") from None
        if _is_sqlite(engine):
            event.listen(engine.sync_engine, "connect", _prepare_sqlite)
            event.listen(engine.sync_engine, "begin", _begin_sqlite)
        if trouble_file is not None:
            suffer(engine, trouble_file)
        store = cls(engine)
        try:
            await store._create_schema()
        except (OperationalError, InterfaceError) as error:
            await store.close()
            raise SettingError(f"DATABASE_URL: {shown} cannot be used: {error.orig}") from None
        except BaseException:
            await store.close()
            raise
        return store

    async def _create_schema(self) -> None:
        """Create missing tables; several processes may do so at once, the loser looks again."""
        for attempt in range(_ATTEMPTS):
            try:
                async with self._writes.begin() as connection:
                    await connection.run_sync(metadata.create_all)
            except OperationalError as error:
                if attempt == _ATTEMPTS - 1 or error.connection_invalidated:
                    raise
            else:
                return

    async def append_revision(self, collection: str, parameter: str, text: str, author: str) -> int:
        """Store an edit as the next revision of `collection` and return its number, from 1.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: nothing was stored.

        Cost: one transaction of three to five statements; about a millisecond on SQLite.
        """
        for _ in range(_ATTEMPTS):
            try:
                async with self._writer, self._writes.begin() as connection:
                    return await _append(connection, collection, parameter, text, author)
            except IntegrityError as error:
                # Two first edits of one collection met: the loser's insert of the collection row fails, and now exists.
                conflict: IntegrityError | OperationalError = error
            except OperationalError as error:
                if error.orig is None or error.orig.args[:1] != (_DEADLOCK,):
                    raise
                conflict = error
        raise conflict

    async def latest(self, collection: str) -> int:
        """Return the number of the latest revision of `collection`, 0 when it has none.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database did not answer.
        """
        async with self._reads.connect() as connection:
            query = select(collections.c.revision).where(collections.c.id == collection)
            return int((await connection.execute(query)).scalar_one_or_none() or 0)

    async def close(self) -> None:
        """Return every connection and end the threads behind them."""
        await self._engine.dispose()


async def _append(connection: AsyncConnection, collection: str, parameter: str, text: str, author: str) -> int:
    row = collections.c.id == collection
    bump = update(collections).where(row).values(revision=collections.c.revision + 1)
    if connection.dialect.update_returning:
        number = (await connection.execute(bump.returning(collections.c.revision))).scalar_one_or_none()
    elif (await connection.execute(bump)).rowcount:
        number = (await connection.execute(select(collections.c.revision).where(row))).scalar_one()
    else:
        number = None
    if number is None:
        number = 1
        await connection.execute(insert(collections).values(id=collection, revision=number))
    await connection.execute(
        insert(revisions).values(
            collection=collection,
            revision=number,
            parameter=parameter,
            text=text,
            author=author,
            created_ns=time.time_ns(),
        )
    )
    return int(number)


def _check_folder(url: URL) -> None:
    # The driver would only say "unable to open database file".
    if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).parent.is_dir():
        raise SettingError(f"DATABASE_URL: the folder {Path(url.database).parent} does not exist")


def _options(backend: str) -> dict[str, Any]:
    """Return what the engine of a kind of database is told besides its pool."""
    if backend == "sqlite":
        return {}
    options: dict[str, Any] = {"pool_pre_ping": True}  # a server that was away costs no edit
    if backend == "mysql":
        # Read committed: with no locks on gaps, first edits of different collections do not meet.
        options |= {"isolation_level": "READ COMMITTED"}
        options |= {"connect_args": {"charset": "utf8mb4", "connect_timeout": _CONNECT_TIMEOUT_S}}
    return options


def _is_sqlite(engine: AsyncEngine) -> bool:
    return engine.dialect.name == "sqlite"


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    """Make a fresh SQLite connection a WAL one whose transactions we begin ourselves (SQLAlchemy's SQLite recipe)."""
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout = {_BUSY_TIMEOUT_MS}",
        "journal_mode = WAL",
        "synchronous = NORMAL",
        "foreign_keys = ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """Begin a writing transaction with the write lock at once: upgrading later is what fails with SQLITE_BUSY."""
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
