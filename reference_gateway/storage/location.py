"""Where the database is; apart from the store so that the supervisor need not load SQLAlchemy.

    mysql://user:password@host/database     MySQL or MariaDB (`mariadb://` means the same)
    sqlite:////absolute/path                one file

Law: a URL may hold a password, so no message here repeats it. A scheme that names a driver (`mysql+aiomysql`) is taken
as it is.
"""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

from reference_gateway.errors import SettingError

_DRIVERS = MappingProxyType({"sqlite": "sqlite+aiosqlite", "mysql": "mysql+asyncmy", "mariadb": "mysql+asyncmy"})


def sqlite_url(path: Path) -> str:
    """Return the DATABASE_URL of an SQLite file."""
    return f"sqlite+aiosqlite:///{path}"


def with_driver(url: str) -> str:
    """Return a DATABASE_URL with the driver that we use for its kind of database.

    Raises:
        SettingError: it is no URL, or of no known kind.
    """
    scheme, separator, rest = url.partition("://")
    if "+" in scheme:
        return url
    if not separator or scheme not in _DRIVERS:
        raise SettingError(f"DATABASE_URL: give one that begins with {', '.join(f'{name}://' for name in _DRIVERS)}")
    return f"{_DRIVERS[scheme]}://{rest}"
