"""A comparison on the terminal: the verdict, the table, what stands against it."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from loadtest.compare.comparison import Comparison, Versus
from loadtest.compare.verdict import Verdict
from loadtest.report import compare_words as words
from loadtest.report import wording as w

_STYLES: dict[Verdict, str] = {"better": "green", "worse": "bold red", "no difference": "dim", "cannot tell": "yellow"}


WIDE = 116
"""Columns from which on a terminal shows everything."""


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print every comparison with the baseline."""
    for one in comparison.versus:
        console.print()
        console.print(Text(words.headline(one), style="bold"))
        console.print(_table(one, console.width))
        for remark in words.remarks(one):
            console.print(Text(remark))
        for warning in one.warnings:
            console.print(Text.assemble(("Warning: ", "yellow"), w.plain(warning)))
    console.print(Text(words.NOTE, style="dim"))


def _table(one: Versus, width: int) -> Table:
    """Return the table; a narrow terminal has the difference below the change, and no effect size."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    wide = width >= WIDE
    metric, before, after, change, gap, effect, would_show, verdict = words.head(one)
    table.add_column(Text(metric), no_wrap=wide, overflow="fold", min_width=19)
    for name in (before, after):
        table.add_column(Text(name), justify="right", overflow="fold")
    for name in (f"{change}\n{gap}", effect, would_show) if wide else (f"{change}\n{gap}",):
        table.add_column(Text(name), overflow="fold")
    table.add_column(Text(verdict), no_wrap=True, min_width=15)
    for finding in words.shown(one):
        name, before, after, change, gap, *power, verdict = words.row(finding)
        moved = change if gap == "-" else f"{change}\n{gap}"
        cells = (name, before, after, moved, *(power if wide else ()))
        table.add_row(*(Text(cell) for cell in cells), Text(verdict, style=_STYLES[finding.verdict]))
    return table
