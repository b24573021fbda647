"""The commands over finished runs: `loadtest compare`, `gate`, `history`.

Law: they read run folders and write words; nothing here starts a process or knows Locust.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from loadtest.errors import UsageError

_METRICS = typer.Option("--metric", help="Judge this metric (a name as in thresholds); again for more.")
_EFFECT = typer.Option("--smallest-effect", help="Differences below it are not called, such as 10%.")
_KEEP = typer.Option("--keep-invalid", help="Keep runs whose verdict is invalid.")


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(compare)
    app.command()(gate)
    app.command()(history)


def compare(
    runs: Annotated[
        list[Path], typer.Argument(help="For each version a run folder or a folder of runs, the baseline first.")
    ],
    metric: Annotated[list[str] | None, _METRICS] = None,
    smallest_effect: Annotated[str, _EFFECT] = "5%",
    keep_invalid: Annotated[bool, _KEEP] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write the comparison as JSON to standard output.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a page with the curves, one offline file.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write Markdown, for a pull request.")] = None,
) -> None:
    """Compare versions: per metric the difference with its 95 % interval, and a verdict.

    The unit is the run: a verdict needs five runs of each version (four for a single metric), best run interleaved, as
    `bench-versions` does. Left out, and named: runs that were interrupted, that measured the harness (invalid), or that
    cannot be read. A run that lacks a metric is named and missing from that metric only. Exit codes: 0 compared, 2
    nothing to compare: no such folder, no run in it, another schema, a metric that no run has.
    """
    from loadtest.compare.comparison import compare as compare_groups
    from loadtest.compare.group import gather
    from loadtest.report.compare_html import write_comparison_html
    from loadtest.report.compare_markdown import write_comparison_markdown
    from loadtest.report.compare_terminal import print_comparison
    from loadtest.report.output_file import write_file

    groups = [gather([path], keep_invalid=keep_invalid) for path in runs]
    comparison = compare_groups(groups, metric or (), smallest_effect=_share(smallest_effect, "--smallest-effect"))
    if markdown is not None:
        write_file(markdown, lambda writer: write_comparison_markdown(comparison, writer))
    if html is not None:
        write_file(html, lambda writer: write_comparison_html(comparison, writer))
    if as_json:
        _print_json(comparison.as_json())
    else:
        console = _console()
        print_comparison(comparison, console)
        if html is not None:
            console.print(f"page: {html}", markup=False, soft_wrap=True)


def gate(
    baseline: Annotated[Path, typer.Argument(help="A run folder or a folder of runs: what is released now.")],
    candidate: Annotated[list[Path], typer.Argument(help="The same of what is to be released; several are pooled.")],
    metric: Annotated[list[str] | None, _METRICS] = None,
    smallest_effect: Annotated[str, _EFFECT] = "5%",
    keep_invalid: Annotated[bool, _KEEP] = False,
) -> None:
    """Let a release through or stop it, with the reason in one sentence.

    Exit codes: 0 no regression, 1 a metric is worse, 2 nothing to compare, 5 too few runs to say. Runs left out of the
    comparison and what else stands against it are named on standard error.
    """
    from loadtest.compare.comparison import compare as compare_groups
    from loadtest.compare.gate import pass_or_stop
    from loadtest.compare.group import gather

    groups = [gather([baseline], keep_invalid=keep_invalid), gather(candidate, keep_invalid=keep_invalid)]
    share = _share(smallest_effect, "--smallest-effect")
    (versus,) = compare_groups(groups, metric or (), smallest_effect=share).versus
    passage = pass_or_stop(versus)
    for warning in versus.warnings:
        sys.stderr.write(f"loadtest: warning: {warning}\n")
    sys.stdout.write(passage.sentence + "\n")
    raise typer.Exit(int(passage.exit_code))


def history(
    metric: Annotated[str, typer.Argument(help="A metric, a name as in thresholds: fanout.latency.p99.")],
    runs: Annotated[Path, typer.Option(help="The folder of runs.")] = Path("runs"),
    profile: Annotated[str | None, typer.Option(help="Name of the profile; needed where runs of several lie.")] = None,
    keep_invalid: Annotated[bool, _KEEP] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write it as JSON to standard output.")] = False,
) -> None:
    """Show a metric over all stored runs of a profile, and where it changed.

    Left out, and named: runs that were interrupted, invalid or unreadable, and runs without the metric. Exit codes: 0
    shown, 2 no run of the profile has the metric.
    """
    from loadtest.compare.history import trace
    from loadtest.report.history_terminal import print_history

    found = trace(runs, metric, profile, keep_invalid=keep_invalid)
    if as_json:
        _print_json(found.as_json())
    else:
        print_history(found, _console())


def _console() -> Console:
    """Return where to print; a log file has no width, so it gets one that holds every column."""
    return Console() if sys.stdout.isatty() else Console(width=140)


def _print_json(value: object) -> None:
    from loadtest.results.plain import plain

    sys.stdout.write(json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n")


def _share(text: str, flag: str) -> float:
    from loadtest.units import parse_percent

    try:
        return parse_percent(text)
    except UsageError as error:
        raise UsageError(f"{flag}: {error}") from error
