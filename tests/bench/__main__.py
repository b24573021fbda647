"""Run the benchmarks and show their figures: `ci/bench [--json FILE] [--quick] [--only NAME]... [--tree DIR]...`"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench import bench_connect, bench_fanout, bench_lag, bench_merge, bench_relay, bench_scale
from tests.bench.figure import Figure
from tests.bench.programs import Unavailable
from tests.bench.scale import FULL, QUICK, Scale

BENCHES: dict[str, Callable[[Scale], list[Figure]]] = {
    "merge": bench_merge.run,
    "fanout": bench_fanout.run,
    "connect": bench_connect.run,
    "lag": bench_lag.run,
    "relay": bench_relay.run,
    "scale": bench_scale.run,
}
SCHEMA = "loadtest.bench/1"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; return 0 when everything could be measured, whatever the figures say, 2 when something could not."""
    parser = argparse.ArgumentParser(
        prog="ci/bench", description="Figures of the harness, each a ratio inside one run."
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that it works, not how fast it is")
    parser.add_argument("--only", action="append", choices=BENCHES, help="this benchmark alone; may be given again")
    parser.add_argument("--large", type=int, metavar="N", help=f"connections of the large population ({FULL.large:,})")
    parser.add_argument("--rounds", type=int, metavar="N", help=f"rounds per figure ({FULL.rounds})")
    parser.add_argument(
        "--tree", action="append", type=Path, default=[], metavar="DIR", help="compare with DIR/loadtest"
    )
    options = parser.parse_args(arguments)
    scale = replace(QUICK if options.quick else FULL, trees=tuple(tree.resolve() for tree in options.tree))
    scale = replace(scale, large=options.large or scale.large, rounds=options.rounds or scale.rounds)

    console = Console(width=None if sys.stdout.isatty() else 170)
    figures: list[Figure] = []
    skipped: dict[str, str] = {}
    for name in options.only or BENCHES:
        console.print(f"[dim]{name} ...[/dim]", highlight=False)
        try:
            figures += BENCHES[name](scale)
        except Unavailable as error:
            skipped[name] = str(error)
    console.print(table(figures))
    for name, reason in skipped.items():
        console.print(f"{name}: skipped, {reason}", highlight=False)
    if options.json:
        options.json.write_text(json.dumps(document(figures, skipped, quick=options.quick), indent=2) + "\n")
    return 2 if skipped else 0


def table(figures: Sequence[Figure]) -> Table:
    """Return the figures for people."""
    shown = Table("figure", "value", "rounds", "bar", "stretch", "verdict", "made of", title="Benchmarks")
    colours = {"not reached": "red", "reached": "green", "stretch reached": "bold green", "": ""}
    for figure in figures:
        spread = "" if figure.low is None else f"{figure.low:.2f} - {figure.high:.2f} ({figure.rounds})"
        limits = ["" if limit is None else f"{limit:g}" for limit in (figure.bar, figure.stretch)]
        verdict = figure.verdict
        styled = f"[{colours[verdict]}]{verdict}[/]" if verdict else ""
        shown.add_row(figure.name, f"{figure.value:.2f} {figure.unit}", spread, *limits, styled, figure.detail)
    return shown


def document(figures: Sequence[Figure], skipped: dict[str, str], *, quick: bool) -> dict[str, Any]:
    """Return the figures for machines."""
    return {
        "schema": SCHEMA,
        "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": {
            "kernel": platform.release(),
            "python": platform.python_version(),
            "cores": os.cpu_count(),
            "load": os.getloadavg()[0],
        },
        "quick": quick,
        "figures": [figure.to_json() for figure in figures],
        "skipped": skipped,
    }


if __name__ == "__main__":
    sys.exit(main())
