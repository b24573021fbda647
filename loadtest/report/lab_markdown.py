"""The storm lab as Markdown: the tables of the page, for a pull request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from loadtest.report import lab as told
from loadtest.report.lab import Lab
from loadtest.report.markdown import bullets, cell, escaped, table


def write_lab_markdown(lab: Lab, writer: TextIO) -> None:
    """Write the lab's tables."""
    writer.write(f"### The storm, version by version\n\n{escaped(told.sentence(lab))}\n\n")
    for title, head, rows in (
        (f"Side by side, S = {lab.number:.3g}", told.VERSIONS_HEAD, told.version_rows(lab)),
        ("The model's curve, and the points", told.SWEEP_HEAD, told.sweep_rows(lab)),
        ("Beside the storm", told.FAULTS_HEAD, told.fault_rows(lab)),
        ("Thresholds, in the time of each run", told.THRESHOLDS_HEAD, told.threshold_lines(lab)),
    ):
        _write_table(writer, title, head, rows)
    writer.write(bullets(told.scale_sentences(lab)))


def _write_table(writer: TextIO, title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if rows:
        writer.write(f"#### {escaped(title)}\n\n{table(head, [[cell(text) for text in row] for row in rows])}\n")
