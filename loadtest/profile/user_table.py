"""The CSV of `client.csv`: one row of variables per client, rows taken in turn."""

from __future__ import annotations

import csv
from pathlib import Path

from loadtest.errors import UsageError
from loadtest.profile.placeholders import BUILT_IN, CHANNEL, MESSAGE, VARIABLE_NAME

RESERVED = frozenset((*BUILT_IN, *CHANNEL, *MESSAGE, "n"))
"""Names that mean something already and cannot be redefined."""


class UserTable:
    """Rows of variables by client number.

    Cost: one tuple of strings per row of the file, whatever the population.
    """

    def __init__(self, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
        self.columns = columns
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, index: int) -> dict[str, str]:
        """Return the variables of client `index`: row `index` modulo the number of rows."""
        return dict(zip(self.columns, self._rows[index % len(self._rows)], strict=True))

    @classmethod
    def read(cls, path: Path) -> UserTable:
        """Read a UTF-8 CSV file whose first row names the columns.

        Raises:
            UsageError: no such file, no rows, a bad or repeated column name, a row of another length.
        """
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                lines = list(csv.reader(file, strict=True))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise UsageError(f"cannot read {path}: {reason}") from error
        lines = [line for line in lines if line]
        if len(lines) < 2:
            raise UsageError(f"{path} has {len(lines)} rows; allowed: a header row and at least one row of values")
        columns = tuple(name.strip() for name in lines[0])
        for number, name in enumerate(columns):
            if VARIABLE_NAME.fullmatch(name) is None or name in RESERVED or name in columns[:number]:
                taken = "taken by a built-in" if name in RESERVED else "not a new name of letters, digits, _, . and -"
                raise UsageError(f'{path} has a column "{name}", which is {taken}')
        for number, line in enumerate(lines[1:], start=2):
            if len(line) != len(columns):
                raise UsageError(f"{path} row {number} has {len(line)} values; the header names {len(columns)}")
        return cls(columns, [tuple(line) for line in lines[1:]])
