"""Read settings of a part from its environment: each value is checked once, here, and named in the error.

Parts are configured by environment variables alone (12-factor), so a part can be started by hand exactly as the stack
starts it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from reference_gateway.errors import SettingError

LISTEN_FD: Final = "RG_LISTEN_FD"
TROUBLE: Final = "RG_DATABASE_TROUBLE"
#: How long clients of a part that may be handed over to another process keep an idle connection to it.
POOL_IDLE_S: Final = 2.0


def read_text(env: Mapping[str, str], name: str, default: str | None = None) -> str:
    """Return the variable `name`; without a default it is required and must not be empty.

    Raises:
        SettingError: it is missing or empty.
    """
    value = env.get(name, "")
    if value:
        return value
    if default is None:
        raise SettingError(f"{name} is not set: the part needs it in its environment")
    return default


def read_path(env: Mapping[str, str], name: str) -> Path | None:
    """Return the path in the variable `name`, None when it is missing or empty."""
    value = env.get(name, "")
    return Path(value) if value else None


def has_address(url: str) -> bool:
    """Say whether nobody has to look up a name to reach `url`."""
    try:
        host = urlsplit(url).hostname
        return not host or bool(ipaddress.ip_address(host))
    except ValueError:
        return False


def read_number(env: Mapping[str, str], name: str, default: float | None, low: float, high: float) -> float:
    """Return the variable `name` as a number within [low, high]; its unit is the one in its name.

    Raises:
        SettingError: it is missing without a default, not a number, or out of range.
    """
    raw = env.get(name, "")
    if not raw and default is not None:
        return default
    try:
        value = float(raw)
    except ValueError:
        raise SettingError(f"{name}={raw!r} is not a number: allowed is {low:g} to {high:g}") from None
    if not low <= value <= high:
        raise SettingError(f"{name}={raw} is out of range: allowed is {low:g} to {high:g}")
    return value


def read_port(env: Mapping[str, str], name: str = "RG_PORT") -> int:
    """Return the TCP port to listen on (1 to 65535; 0 lets the kernel choose).

    Raises:
        SettingError: it is missing or not a port.
    """
    value = read_number(env, name, None, 0, 65535)
    if value != int(value):
        raise SettingError(f"{name}={value:g} is not a port: allowed is 0 to 65535")
    return int(value)
