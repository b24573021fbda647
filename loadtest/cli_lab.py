"""`loadtest report --lab`: scaled runs --> the storm lab's page, and the same in Markdown beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from loadtest.report.data import load
from loadtest.report.lab import sentence, tell
from loadtest.report.lab_html import render_lab
from loadtest.report.lab_markdown import write_lab_markdown


def write_lab(folders: Sequence[Path], path: Path, console: Console) -> None:
    """Write the page at `path` and `path` with .md.

    Raises:
        ResultsError: a folder holds no run. UsageError: a run is not scaled. OSError: a file cannot be written.
    """
    lab = tell([load(folder) for folder in folders])
    path.write_text(render_lab(lab), encoding="utf-8")
    with path.with_suffix(".md").open("w", encoding="utf-8") as writer:
        write_lab_markdown(lab, writer)
    console.print(sentence(lab), markup=False)
    console.print(f"report: {path}", markup=False, soft_wrap=True)
