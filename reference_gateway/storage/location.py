"""Where the embedded database is; apart from the store so that the supervisor need not load SQLAlchemy."""

from __future__ import annotations

from pathlib import Path


def sqlite_url(path: Path) -> str:
    """Return the DATABASE_URL of an SQLite file."""
    return f"sqlite+aiosqlite:///{path}"
