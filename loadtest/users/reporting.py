"""Reports, written by `loadtest report` and its like in processes of their own.

Law: a master that conducts a run never spends its own time on a report; whoever writes one is polite to the processor.
"""

from __future__ import annotations

import os
import subprocess
import sys
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
        write("report", str(folder))
    return path


def write(*words: str) -> None:
    """Have `loadtest <words>` write something.

    Raises:
        ResultsError: it cannot, in its own words.
    """
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
        raise ResultsError(done.stderr.strip()[-2000:] or f"loadtest {words[0]} ended with {done.returncode}")
