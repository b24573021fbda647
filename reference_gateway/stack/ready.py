"""Files that tell others where the stack is: the ready file and the default state file, same content, same laws.

Law: a file appears whole or not at all (written beside, then renamed), readable by its owner only (it holds the control
token), and is removed by the stack that wrote it and by nobody else. Schema `reference_gateway.ready/1`:

    {"schema", "version", "pid", "nodes", "tables", "bootstrap_url", "gateway_urls": [..],
     "control": {"url", "token"}, "parts": [{"name", "kind", "pid", "url"}]}
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from pathlib import Path
from typing import Any, Final

from reference_gateway.errors import NotRunningError, SettingError

SCHEMA: Final = "reference_gateway.ready/1"


def state_file() -> Path:
    """Return the default state file of this user: in $XDG_RUNTIME_DIR, else in a private folder of /tmp."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(runtime) / "reference-gateway" if runtime else Path(f"/tmp/reference-gateway-{os.getuid()}")
    return folder / "stack.json"


def write_ready(path: Path, ready: dict[str, Any]) -> None:
    """Write `ready` to `path`, atomically and with mode 0600.

    Raises:
        SettingError: the folder is missing or cannot be written.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(ready, file, indent=2)
            file.write("\n")
        beside.replace(path)
    except OSError as error:
        raise SettingError(f"cannot write {path}: {error.strerror}") from None


def claim_state_file(ready: dict[str, Any]) -> Path | None:
    """Write the default state file unless a living stack holds it; return its path, or None when it was left alone.

    Raises:
        SettingError: its folder belongs to somebody else or cannot be made.
    """
    path = state_file()
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        folder = path.parent.lstat()
    except OSError as error:
        raise SettingError(f"cannot make {path.parent}: {error.strerror}") from None
    if not stat.S_ISDIR(folder.st_mode) or folder.st_uid != os.getuid():
        raise SettingError(f"{path.parent} belongs to somebody else: set XDG_RUNTIME_DIR to a folder of yours")
    path.parent.chmod(0o700)
    with contextlib.suppress(NotRunningError):
        if read_ready(path)["pid"] != os.getpid():
            return None
    write_ready(path, ready)
    return path


def read_ready(path: Path) -> dict[str, Any]:
    """Return the description of the running stack that wrote `path`.

    Raises:
        NotRunningError: there is no such file, it is not a ready file, or its stack has ended.
    """
    try:
        ready = json.loads(path.read_text(encoding="utf-8"))
        pid = int(ready["pid"])
        known = ready["schema"] == SCHEMA and isinstance(ready["control"]["url"], str)
    except FileNotFoundError:
        raise NotRunningError(f"no stack is running: {path} does not exist (start one: reference-gateway up)") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotRunningError(f"{path} is not a ready file of a stack: {error}") from None
    if not known:
        raise NotRunningError(f"{path} is not a ready file of a stack: its schema is not {SCHEMA}")
    if not is_alive(pid):
        raise NotRunningError(f"{path} is stale: its stack (process {pid}) has ended; start one: reference-gateway up")
    return dict(ready)


def is_alive(pid: int) -> bool:
    """Return whether a process `pid` exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def withdraw(path: Path | None) -> None:
    """Remove `path` if this process wrote it."""
    if path is None:
        return
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        if json.loads(path.read_text(encoding="utf-8"))["pid"] == os.getpid():
            path.unlink()
