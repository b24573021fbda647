"""A metric's history on the terminal: one line per run with its bar, a line where it changed."""

from __future__ import annotations

import math

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from loadtest.compare.change_points import LEAST_RUNS, Change
from loadtest.compare.history import History, relative
from loadtest.report import wording as w

BAR = 16


def print_history(history: History, console: Console) -> None:
    """Print the history, oldest run first."""
    console.print(Text(f"{history.metric} of {w.plain(history.profile, 60)}, {len(history.points)} runs", style="bold"))
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    versions = len({point.version for point in history.points}) > 1
    for name in ("Started", "Run", "Version") if versions else ("Started", "Run"):
        table.add_column(name, overflow="fold", no_wrap=True)
    table.add_column("Value", justify="right")
    table.add_column("")
    changed = {change.at: change for change in history.changes}
    most = max((p.value for p in history.points if math.isfinite(p.value)), default=0.0)
    for at, point in enumerate(history.points):
        if at in changed:
            table.add_row("", Text(f"changed: {_told(changed[at], history)}", style="bold yellow"))
        full = math.isinf(point.value)
        bar = "\N{FULL BLOCK}" * (BAR if full else round(BAR * point.value / most) if most > 0 else 0)
        cells = [w.moment(point.started_at).removesuffix(" UTC"), w.plain(point.run_id, 80)]
        cells += [w.plain(point.version, 40)] if versions else []
        table.add_row(
            *map(Text, cells), Text(w.in_unit(point.value, history.unit, history.metric)), Text(bar, style="dim")
        )
    console.print(table)
    if not history.changes:
        few = (
            f" (no change can be told from fewer than {2 * LEAST_RUNS} runs)"
            if len(history.points) < 2 * LEAST_RUNS
            else ""
        )
        console.print(Text(f"No change in it{few}."))
    for sentence in history.left_out:
        console.print(Text.assemble(("Warning: ", "yellow"), w.plain(sentence)))


def _told(change: Change, history: History) -> str:
    share = relative(change)
    far = "" if share is None else f" ({100 * share:+.0f} %)"
    before, after = (w.in_unit(value, history.unit, history.metric) for value in (change.before, change.after))
    return f"{before} -> {after}{far}"
