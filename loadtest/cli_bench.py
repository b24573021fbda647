"""`loadtest bench-versions`: run versions against each other, interleaved, and compare them.

Law: Locust is never loaded here; every run is a process of its own.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from loadtest.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("bench-versions")(bench_versions)


def bench_versions(
    profile: Annotated[str, typer.Argument(help="Path of a profile, or the name of a shipped one.")],
    versions: Annotated[
        str, typer.Option(help="Versions of the profile's stack: sync,bifrost-1. First: baseline.")
    ] = "",
    target: Annotated[list[str] | None, typer.Option(help="NAME=URL: a version behind a URL; again for more.")] = None,
    start: Annotated[
        list[str] | None, typer.Option(help="NAME=COMMAND: start it before each run, end it after (with --target).")
    ] = None,
    runs: Annotated[int, typer.Option(min=1, max=1000, help="Runs of each version; a verdict needs five.")] = 5,
    rest: Annotated[str, typer.Option(help="Pause between two runs.")] = "5s",
    out: Annotated[
        Path, typer.Option(help="Folder of the benchmark; the same one goes on after an interruption.")
    ] = Path("bench"),
    settings: Annotated[list[str] | None, typer.Option("--set", help="dotted.key=value, over the profile.")] = None,
    force: Annotated[bool, typer.Option(help="Run although this machine seems too small.")] = False,
) -> None:
    """Run versions of a gateway in turns (A B, B A, A B ...), then compare each with the first.

    The runs of each version lie in OUT/NAME, the comparison in OUT/comparison.html. Interrupted, the same command goes
    on with the run that was not finished. Exit codes: 0 compared, 2 bad usage or profile, 4 a target could not be
    reached, 130 interrupted.
    """
    from loadtest.compare.comparison import compare
    from loadtest.compare.group import gather
    from loadtest.launch.bench import run_bench
    from loadtest.launch.bench_plan import Plan, contenders
    from loadtest.launch.stack import known_versions
    from loadtest.profile.loader import load_profile
    from loadtest.report.compare_html import write_comparison_html
    from loadtest.report.compare_terminal import print_comparison
    from loadtest.report.output_file import write_file
    from loadtest.report.wording import seconds
    from loadtest.units import parse_duration

    chosen = contenders(versions, target or (), start or ())
    rest_s = parse_duration(rest)
    names = [contender.name for contender in chosen if contender.url is None]
    loaded = load_profile(profile, settings or (), target_url=next((c.url for c in chosen if c.url), None))
    if names and loaded.target.stack is None:
        raise UsageError(f"--versions {','.join(names)}: the profile does not start a stack; use --target NAME=URL")
    unknown = sorted(set(names) - set(known_versions())) if names else []
    if unknown:
        raise UsageError(f"--versions {unknown[0]}: known are {', '.join(known_versions())}")
    planned_s = loaded.ramp_s + loaded.phases.warmup_s + loaded.duration_s + loaded.drain_s + 5
    plan = Plan.open(out, profile, settings or (), chosen, runs)
    console = Console() if sys.stdout.isatty() else Console(width=140)
    columns = (
        TextColumn("{task.completed:.0f} of {task.total:.0f} runs"),
        BarColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=len(plan.done) + len(plan.left), completed=len(plan.done))

        def tell(version: str, number: int) -> None:
            left_s = plan.seconds_left(planned_s, rest_s)
            basis = "by the runs so far" if plan.done else "by the profile"
            said = f"{version}, run {number}; about {seconds(round(left_s))} left ({basis})"
            bar.update(task, completed=len(plan.done), description=said)
            if not console.is_terminal:
                console.print(f"{len(plan.done)} done: {said}", markup=False)

        run_bench(plan, rest_s, tell, ["--force"] if force else [])
        bar.update(task, completed=len(plan.done), description="done")
    groups = [gather([out / contender.name], contender.name) for contender in chosen]
    comparison = compare(groups)
    page = out / "comparison.html"
    write_file(page, lambda writer: write_comparison_html(comparison, writer))
    print_comparison(comparison, console)
    console.print(f"page: {page}", markup=False, soft_wrap=True)
