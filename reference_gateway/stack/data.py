"""The stack's folder: database, rule table, logs. Temporary unless a folder was given.

Law: a temporary folder lives as long as its stack. A stack that was killed cannot clean up, so the next one does: each
holds a lock on its folder, and a folder that nobody holds is removed.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from reference_gateway.errors import SettingError

PREFIX: Final = "reference-gateway-data-"
DEFAULT_RULES: Final = Path(__file__).parent.parent / "api" / "rules.toml"

log = logging.getLogger(__name__)


class DataFolder:
    """The folder of one running stack; use as a context manager."""

    def __init__(self, given: Path | None, log_dir: Path | None) -> None:
        """Make the folder (0700), or use `given`.

        Raises:
            SettingError: it cannot be made, or another stack is using it.
        """
        self._is_temporary = given is None
        try:
            remove_abandoned(Path(tempfile.gettempdir()))
            if given is None:
                self.folder = Path(tempfile.mkdtemp(prefix=PREFIX))
            else:
                given.mkdir(mode=0o700, parents=True, exist_ok=True)
                self.folder = given.resolve()
            self._log_dir = log_dir.resolve() if log_dir is not None else self.folder / "logs"
            self._log_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = _lock(self.folder)
            if lock is None:
                raise SettingError(f"{self.folder} is in use by another stack: give another --data-dir")
            self._lock = lock
            self.rules_file = self.folder / "rules.toml"
            if not self.rules_file.exists():
                shutil.copyfile(DEFAULT_RULES, self.rules_file)
        except OSError as error:
            raise SettingError(f"cannot use the data folder: {error}") from None

    @property
    def drain_file(self) -> Path:
        """Where a deploy leaves the seconds over which an ending node spreads its closes."""
        return self.folder / "drain-seconds"

    @property
    def trouble_file(self) -> Path:
        """Where users of the database look for its trouble (`storage.trouble`)."""
        return self.folder / "database-trouble.json"

    def log_file(self, name: str) -> Path:
        """Return the log of the part `name`."""
        return self._log_dir / f"{name}.log"

    def __enter__(self) -> DataFolder:
        return self

    def __exit__(self, *_: object) -> None:
        """Remove a temporary folder; a given one stays."""
        if self._is_temporary:
            shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)


def _lock(folder: Path) -> int | None:
    """Return the descriptor that holds the folder's lock, None when somebody else holds it."""
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def remove_abandoned(parent: Path) -> int:
    """Remove this user's stack folders in `parent` that no living stack holds; return how many."""
    removed = 0
    for folder in parent.glob(f"{PREFIX}*"):
        try:
            # A folder without a lock file is being made this very moment by a stack that starts beside us.
            ours = folder.lstat().st_uid == os.getuid() and folder.is_dir() and (folder / "lock").is_file()
            lock = _lock(folder) if ours and not folder.is_symlink() else None
        except OSError as error:
            log.info("cannot look into %s: %s", folder, error)
            continue
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)
            removed += 1
    return removed
