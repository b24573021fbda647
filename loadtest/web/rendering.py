"""Reports and comparisons for the page, made by `loadtest report` and `loadtest compare` in processes of their own.

Law: a master that conducts a run never spends its own time on a report; whoever writes one is polite to the processor.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from loadtest.errors import ResultsError
from loadtest.results.folder import REPORT

TIMEOUT_S = 120
NICENESS = 10

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def report_path(folder: Path) -> Path:
    """Return the report of a run, writing it where there is none yet.

    Raises:
        ResultsError: it cannot be written, in the words of `loadtest report`.
    """
    path = folder / REPORT
    if not path.is_file():
        _loadtest("report", str(folder))
    return path


def comparison(groups: Sequence[tuple[str, Sequence[Path]]]) -> str:
    """Return versions side by side, as an HTML document.

    Args:
        groups: a name and the runs of each version, the baseline first. Runs that measured the harness are kept: the
            page warns of them.

    Raises:
        ResultsError: as above.
    """
    with tempfile.TemporaryDirectory(prefix="loadtest-") as scratch:
        folders = []
        for number, (name, runs) in enumerate(groups):
            folder = Path(scratch) / f"{number}" / (_UNSAFE.sub("-", name).strip(".-") or "runs")
            folder.mkdir(parents=True)
            for run in runs:
                (folder / run.name).symlink_to(run.resolve(), target_is_directory=True)
            folders.append(str(folder))
        path = Path(scratch) / "comparison.html"
        _loadtest("compare", *folders, "--keep-invalid", "--html", str(path))
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
        raise ResultsError(done.stderr.strip()[-2000:] or f"loadtest {words[0]} ended with {done.returncode}")
