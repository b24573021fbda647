"""What the tests of the autoscaler look at in a run, and the full proof, by hand: python -m tests.e2e.autoscale

    load heavy on CPU      load of both metrics: nodes come, p99 holds      of memory alone: none come, p99 breaks
    load heavy on memory   load of both metrics: nodes come, p99 holds      of CPU alone: none come, p99 breaks

Laws: the bar is the profile's own threshold on p99. Who was not told in time counts in a percentile as told after the
deadline, so a node that tells nobody anything does not have a p99 of nothing. A run that measured the harness proves
neither. Under three minutes; exit code 1 when a cell of the table is not as above.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

#: profile -> the metric that is blind to its load.
BLIND = {"autoscale-cpu": "memory", "autoscale-memory": "cpu"}
P99 = "fanout.latency.p99 < 250ms during hold"
BOUND_MS = 250
DEADLINE_MS = 5000
_LATE_SHARE = 0.01


def changes(folder: Path) -> list[str]:
    """Return what the stack of a run says of its scaling, and of nodes that were killed."""
    said = (folder / "logs" / "stack.log").read_text().splitlines()
    return [line for line in said if "scaled from" in line or "ended with status" in line]


def killed(folder: Path) -> int:
    """Return how often a node was killed for its memory."""
    return sum("ended with status -9" in line for line in changes(folder))


def scaled(folder: Path) -> int:
    """Return how often nodes were added."""
    return sum("scaled from" in line for line in changes(folder))


def held(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of the hold phase."""
    lines = [json.loads(line) for line in (folder / "intervals.jsonl").read_text().splitlines()]
    return [line for line in lines if line.get("phase") == "hold" and "fanout" in line]


@dataclass(frozen=True, slots=True)
class Cell:
    """One run of the proof."""

    profile: str
    metric: str
    folder: Path

    @property
    def result(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "run.json").read_text()))

    @property
    def should_hold(self) -> bool:
        return self.metric == "both"

    def p99_ms(self) -> float:
        """Return the p99 of what was due in the hold phase; what was not told in time counts as the deadline."""
        fanout = (self.result["phases"].get("hold") or {}).get("fanout") or {}
        if not fanout.get("expected") or fanout["lost"] > _LATE_SHARE * fanout["expected"]:
            return DEADLINE_MS
        return float(fanout["latency_ms"]["p99"])

    def wrong(self) -> list[str]:
        """Return what is not as claimed; nothing when the cell is a proof."""
        result, added, p99_ms = self.result, scaled(self.folder), self.p99_ms()
        (outcome,) = [one["verdict"] for one in result["thresholds"] if one["expr"] == P99]
        found = [f"the run is {result['verdict']}: {result['reasons']}"] if result["verdict"] == "invalid" else []
        if self.should_hold:
            found += [] if result["verdict"] == "pass" else [f"it did not pass: {result['reasons']}"]
            found += [] if added else ["no node was added"]
        else:
            found += [] if outcome != "PASS" and p99_ms >= BOUND_MS else [f"its p99 of {p99_ms:.0f} ms does not break"]
            found += ["nodes were added for a load that nobody saw"] if added else []
        return found

    def row(self) -> list[str]:
        result, p99_ms = self.result, self.p99_ms()
        generator, fanout = result["generator"], (result["phases"].get("hold") or {}).get("fanout") or {}
        share = fanout.get("delivered", 0) / (fanout.get("expected") or 1)
        return [
            self.profile,
            self.metric,
            f"{scaled(self.folder)}",
            f"{killed(self.folder)}",
            f"> {p99_ms:.0f} ms" if p99_ms >= DEADLINE_MS else f"{p99_ms:.0f} ms",
            f"{100 * share:.1f} %",
            f"{generator['loop_lag_p99_ms']:.1f} ms",
            f"{generator['cpu_max_percent']:.0f} %",
            str(result["verdict"]),
            "no" if self.wrong() else "yes",
        ]


def run(profile: str, metric: str) -> Cell:
    """Run one cell."""
    out = Path(tempfile.mkdtemp(prefix="autoscale-"))
    command = [sys.executable, "-m", "loadtest.cli", "run", profile, "--out", str(out)]
    subprocess.run([*command, "--set", f"target.autoscale.on={metric}"], capture_output=True, check=False, timeout=120)
    (folder,) = out.iterdir()
    return Cell(profile, metric, folder)


def main() -> int:
    """Run all four and say what came of each."""
    console = Console()
    table = Table("load", "scaled by", "added", "killed", "p99", "in time", "lag", "CPU", "verdict", "as claimed")
    wrong: list[str] = []
    for profile, blind in BLIND.items():
        for metric in ("both", blind):
            console.print(f"{profile} by {metric} ...")
            cell = run(profile, metric)
            table.add_row(*cell.row())
            wrong += [f"{profile} by {metric}: {sentence}  ({cell.folder})" for sentence in cell.wrong()]
    console.print(table)
    for sentence in wrong:
        console.print(sentence, markup=False)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
