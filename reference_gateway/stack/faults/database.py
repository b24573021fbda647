"""Faults of the database, as those who use it see them: every statement late, or none answered.

    Database --writes--> trouble file <--looked at before each statement-- `storage.trouble` in every part with a store

Law: the file lies in the data folder; a stack that starts there removes what a killed one left.
"""

from __future__ import annotations

from pathlib import Path

from reference_gateway.errors import FaultError
from reference_gateway.storage.trouble import Trouble


class Database:
    """Delay each statement, or fail it."""

    def __init__(self, trouble_file: Path, trouble: Trouble) -> None:
        self._file = trouble_file
        self._trouble = trouble

    async def apply(self) -> None:
        """See `Fault.apply`."""
        try:
            self._trouble.write(self._file)
        except OSError as error:
            raise FaultError(f"the database cannot be troubled: {error}") from None

    async def undo(self) -> None:
        """See `Fault.undo`."""
        try:
            self._file.unlink(missing_ok=True)
        except OSError as error:
            raise FaultError(f"the database is still troubled: {error}") from None
