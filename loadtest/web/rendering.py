"""Reports and comparisons for the page, made by `loadtest report` in a process of its own.

Law: a master that conducts a run never spends its own time on a report; whoever writes one is polite to the processor.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from loadtest.errors import ResultsError
from loadtest.results.folder import REPORT

TIMEOUT_S = 120
NICENESS = 10


def report_path(folder: Path) -> Path:
    """Return the report of a run, writing it where there is none yet.

    Raises:
        ResultsError: it cannot be written, in the words of `loadtest report`.
    """
    path = folder / REPORT
    if not path.is_file():
        _loadtest("report", str(folder))
    return path


def comparison(folders: Sequence[Path]) -> str:
    """Return runs side by side, as an HTML document.

    Raises:
        ResultsError: as above.
    """
    with tempfile.TemporaryDirectory(prefix="loadtest-") as scratch:
        path = Path(scratch) / "comparison.html"
        _loadtest("report", *(str(folder) for folder in folders), "--out", str(path))
        return path.read_text(encoding="utf-8")


def _loadtest(*words: str) -> None:
    argv = [sys.executable, "-m", "loadtest.cli", *words]
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
            preexec_fn=lambda: os.nice(NICENESS),
        )
    except subprocess.TimeoutExpired as error:
        raise ResultsError(f"the report took longer than {TIMEOUT_S} s") from error
    if done.returncode:
        raise ResultsError(done.stderr.strip()[-2000:] or f"loadtest report ended with {done.returncode}")
