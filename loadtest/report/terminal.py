"""The last words of a run on the terminal: verdict, story, key figures, thresholds, and where the report lies.

Text of strangers is put into `Text` objects, never into rich markup, and passes `wording.plain` first.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from loadtest.report import wording as w
from loadtest.report.generator import trust
from loadtest.report.story import story
from loadtest.report.summary_sections import OUTCOMES, key_figures, threshold_rows, verdict_words

_STYLES = {"pass": "bold green", "fail": "bold red", "invalid": "bold yellow", "interrupted": "bold"}
_OUTCOME_STYLES = {OUTCOMES["PASS"]: "green", OUTCOMES["FAIL"]: "red", OUTCOMES["NO_DATA"]: "red"}


def print_summary(run: Mapping[str, Any], console: Console, report_path: Path | None) -> None:
    """Print the summary of one run.

    Args:
        run: run.json.
        console: where to print; its width is respected.
        report_path: the HTML report, or None when there is none.
    """
    word, sign, default = verdict_words(run)
    reasons = [w.plain(reason) for reason in w.items(run, "reasons")] or [default]
    console.print()
    console.print(Text.assemble((f"{sign} {word}", _STYLES.get(w.text(run, "verdict"), "bold")), f"  {reasons[0]}"))
    for reason in reasons[1:]:
        console.print(Padding(Text(reason), (0, 0, 0, 2)))
    console.print(Text(story(run)))
    console.print(_figures(run))
    thresholds = _thresholds(run)
    if thresholds is not None:
        console.print(thresholds)
    judged = trust(run)
    console.print(Text.assemble((f"Trust: {judged.grade}.", "bold"), " ", " ".join(judged.sentences)))
    if report_path is not None:
        # A path that wraps cannot be clicked or copied.
        console.print(Text.assemble(("Report: ", "bold"), str(report_path)), soft_wrap=True)


def _figures(run: Mapping[str, Any]) -> Table:
    table = Table(box=SIMPLE_HEAD, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(justify="right", style="bold")
    table.add_column(style="dim")
    for row in key_figures(run):
        table.add_row(*(Text(cell) for cell in row))
    return table


def _thresholds(run: Mapping[str, Any]) -> Table | None:
    rows = threshold_rows(run)
    if not rows:
        return None
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("Threshold", overflow="fold")
    table.add_column("Measured", justify="right")
    table.add_column("Outcome")
    for expr, value, outcome in rows:
        table.add_row(Text(expr), Text(value), Text(outcome, style=_OUTCOME_STYLES.get(outcome, "")))
    return table
