"""Tables of the stack: a collection and its revisions.

Law: within one collection, revisions are 1, 2, 3, ... without gap or repeat; `(collection, revision)` is unique in the
database itself, so a fault in the code above it is an error and never a second truth. A collection's id is compared
byte by byte on every database.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.mysql import MEDIUMTEXT, VARBINARY
from sqlalchemy.types import TypeDecorator, TypeEngine

COLLECTION_CHARS = 128
PARAMETER_CHARS = 128
AUTHOR_CHARS = 256

_MYSQL = "mysql"
_UTF8_BYTES = 4  # of one character, at most

metadata = MetaData()


class Name(TypeDecorator[str]):
    """A text that is equal to itself alone: to MySQL's own text types "a", "A" and "a " are one.

    Args:
        chars: length at most.
    """

    impl = String
    cache_ok = True

    def __init__(self, chars: int) -> None:
        super().__init__(chars)
        self.chars = chars

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return what it is stored as."""
        mysql = dialect.name == _MYSQL
        kind: TypeEngine[Any] = VARBINARY(_UTF8_BYTES * self.chars) if mysql else String(self.chars)
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: str | None, dialect: Dialect) -> object:
        """Return `value` as it is stored."""
        return value.encode() if dialect.name == _MYSQL and value is not None else value

    def process_result_value(self, value: object, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's
        """Return what was stored."""
        return value.decode() if isinstance(value, bytes) else None if value is None else str(value)


def _table(name: str, *parts: Column[object] | UniqueConstraint | Index) -> Table:
    return Table(name, metadata, *parts, mysql_engine="InnoDB", mysql_charset="utf8mb4")


collections = _table(
    "collections",
    Column("id", Name(COLLECTION_CHARS), primary_key=True),
    Column("revision", BigInteger, nullable=False),
)

revisions = _table(
    "revisions",
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("collection", Name(COLLECTION_CHARS), ForeignKey("collections.id"), nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("parameter", String(PARAMETER_CHARS), nullable=False),
    Column("text", Text().with_variant(MEDIUMTEXT(), _MYSQL), nullable=False),  # TEXT ends one byte below our bound
    Column("author", String(AUTHOR_CHARS), nullable=False),
    Column("created_ns", BigInteger, nullable=False, comment="nanoseconds since the epoch, UTC"),
    UniqueConstraint("collection", "revision"),
    Index("ix_revisions_created_ns", "created_ns"),
)
