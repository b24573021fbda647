"""Comparisons for the page, made by `loadtest compare` in a process of its own."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from loadtest.users.reporting import write

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


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
        write("compare", *folders, "--keep-invalid", "--html", str(path))
        return path.read_text(encoding="utf-8")
