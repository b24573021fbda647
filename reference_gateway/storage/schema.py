"""Tables of the stack: a collection and its revisions.

Law: within one collection, revisions are 1, 2, 3, ... without gap or repeat; `(collection, revision)` is unique in the
database itself, so a fault in the code above it is an error and never a second truth.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, MetaData, String, Table, Text, UniqueConstraint

COLLECTION_CHARS = 128
PARAMETER_CHARS = 128
AUTHOR_CHARS = 256

metadata = MetaData()

collections = Table(
    "collections",
    metadata,
    Column("id", String(COLLECTION_CHARS), primary_key=True),
    Column("revision", BigInteger, nullable=False),
)

revisions = Table(
    "revisions",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("collection", String(COLLECTION_CHARS), ForeignKey("collections.id"), nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("parameter", String(PARAMETER_CHARS), nullable=False),
    Column("text", Text, nullable=False),
    Column("author", String(AUTHOR_CHARS), nullable=False),
    Column("created_ns", BigInteger, nullable=False, comment="nanoseconds since the epoch, UTC"),
    UniqueConstraint("collection", "revision"),
    Index("ix_revisions_created_ns", "created_ns"),
)
