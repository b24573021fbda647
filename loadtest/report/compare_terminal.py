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
NAME = 18
"""Of a narrow one, those of the metric; a longer name is broken at its last dot."""


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
    console.print(Text(words.NOTE + (words.WOULD_SHOW if console.width >= WIDE else ""), style="dim"))


def _table(one: Versus, width: int) -> Table:
    """Return the table; a narrow terminal has the change alone, or where only that has an interval the difference."""
    if width < WIDE:
        return _narrow(one)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    metric, before, after, change, gap, effect, would_show, verdict = words.head(one)
    table.add_column(Text(metric), no_wrap=True, overflow="fold")
    _add_sides(table, before, after)
    for name in (f"{change}\n{gap}", effect, would_show):
        table.add_column(Text(name), overflow="fold")
    table.add_column(Text(verdict), no_wrap=True, min_width=15)
    for finding in words.shown(one):
        name, before, after, change, gap, *power, verdict = words.row(finding)
        cells = (name, before, after, change if gap == "-" else f"{change}\n{gap}", *power)
        table.add_row(*(Text(cell) for cell in cells), Text(verdict, style=_STYLES[finding.verdict]))
    return table


def _narrow(one: Versus) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    metric, before, after, change, *_, verdict = words.head(one)
    table.add_column(Text(metric), overflow="fold", min_width=NAME)
    _add_sides(table, before, after, max_width=9)
    table.add_column(Text(change), no_wrap=True)
    table.add_column(Text(verdict), no_wrap=True, min_width=13)
    for finding in words.shown(one):
        name, before, after, change, gap, *_ = words.row(finding)
        head, dot, last = name.rpartition(".")
        name = name if len(name) <= NAME else f"{head}\n{dot}{last}"
        moved = gap if "[" in gap and "[" not in change else change
        cells = (name, before, after, moved)
        table.add_row(*(Text(cell) for cell in cells), Text(finding.verdict, style=_STYLES[finding.verdict]))
    return table


def _add_sides(table: Table, *names: str, max_width: int | None = None) -> None:
    for name in names:
        table.add_column(Text(name), justify="right", overflow="fold", max_width=max_width)
