"""A database in trouble, for those who want to see what becomes of the rest: statements late, or refused.

    who makes it --write--> trouble file --read--> who suffers it (`suffering`)

Law: the file appears whole or not at all; no file, no trouble. Apart from the store, as `location`.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with the database: each statement takes `delay_s` longer, or the database is `down`."""

    delay_s: float = 0.0
    down: bool = False

    def write(self, file: Path) -> None:
        """Make this the trouble of all who look at `file`.

        Raises:
            OSError: it cannot be written.
        """
        beside = file.with_name(f".{file.name}.{os.getpid()}")
        beside.write_text(json.dumps({"delay_s": self.delay_s, "down": self.down}), encoding="ascii")
        beside.replace(file)

    @classmethod
    def read(cls, file: Path) -> Trouble:
        """Return what `file` says; none where there is no file.

        Raises:
            ValueError: it is not what `write` writes.
        """
        try:
            text = file.read_text(encoding="ascii")
        except FileNotFoundError:
            return cls()
        content = json.loads(text)
        return cls(float(content["delay_s"]), bool(content["down"]))
