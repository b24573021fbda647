"""The rule table in force, and its file: a change is taken over within a moment, a broken one is refused.

    file changed | SIGHUP | POST /v1/rules/reload --> load --ok--> swap
                                                          '-bad-> keep the old table, log and show the error

Law: `table` is always a whole, valid table. Reloading touches no socket and no request in flight.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from reference_gateway.api.rules import RuleError, RuleTable

POLL_EVERY_S: Final = 0.25

log = logging.getLogger(__name__)


class RuleFile:
    """A watched rule file.

    Attributes:
        table: the rules in force.
        error: why the file's latest content is not in force, None when it is.
    """

    def __init__(self, path: Path, services: Mapping[str, str]) -> None:
        """Load `path` for the first time.

        Raises:
            RuleError: it cannot be used; without rules there is nothing to fall back to.
        """
        self._path = path
        self._services = services
        self._stamp = self._read_stamp()
        self.table = RuleTable.load(path, services)
        self.error: str | None = None
        self.reloads = 0
        self._loaded_s = time.time()

    def reload(self) -> bool:
        """Load the file again; return whether its content is in force now."""
        self._stamp = self._read_stamp()
        try:
            table = RuleTable.load(self._path, self._services)
        except RuleError as error:
            self.error = str(error)
            log.error("the new rules are refused, the old ones (%s) stay: %s", self.table.digest, error)
            return False
        self.error = None
        if table.digest != self.table.digest:
            log.info("rules %s replace %s", table.digest, self.table.digest)
            self.table = table
            self.reloads += 1
            self._loaded_s = time.time()
        return True

    async def watch(self) -> None:
        """Reload whenever the file changes, until cancelled."""
        while True:
            await asyncio.sleep(POLL_EVERY_S)
            if self._read_stamp() != self._stamp:
                self.reload()

    def describe(self) -> dict[str, Any]:
        """Return what `GET /v1/rules` shows."""
        return {
            "file": str(self._path),
            "digest": self.table.digest,
            "loaded_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._loaded_s)),
            "reloads": self.reloads,
            "error": self.error,
            "rules": [rule.model_dump(exclude_none=True) for rule in self.table.rules.values()],
        }

    def _read_stamp(self) -> tuple[int, int, int] | None:
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino
