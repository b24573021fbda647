"""Write an output file whole or not at all: what a pipeline picks up is never half a document."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from loadtest.errors import UsageError


def write_file(path: Path, write: Callable[[TextIO], object]) -> None:
    """Have `write` write a text, then put it at `path`, replacing what is there.

    Raises:
        UsageError: the file cannot be written, with the reason.
    """
    text = io.StringIO()
    write(text)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_text(text.getvalue(), encoding="utf-8", errors="backslashreplace", newline="")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error
