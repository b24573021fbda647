"""A comparison as Markdown, for a pull request: the verdict, the table, what stands against it."""

from __future__ import annotations

from typing import TextIO

from loadtest.compare.comparison import Comparison
from loadtest.report import compare_words as words
from loadtest.report.markdown import bullets, cell, escaped, table


def write_comparison_markdown(comparison: Comparison, writer: TextIO) -> None:
    """Write every comparison with the baseline."""
    for one in comparison.versus:
        writer.write(f"### {escaped(words.headline(one))}\n\n")
        writer.write(table(words.head(one), [[cell(text) for text in words.row(found)] for found in words.shown(one)]))
        told = [*words.remarks(one), *(f"Warning: {warning}" for warning in one.warnings)]
        if told:
            writer.write("\n" + bullets(told))
        writer.write("\n")
    writer.write(f"<sub>{escaped(words.NOTE + words.WOULD_SHOW)}</sub>\n")
