"""What the tests of the autoscaler look at in a run, and the full proof, by hand: python -m tests.e2e.autoscale

Two loads, one heavy on CPU and one on memory, each with a load factor of both metrics and of the one that does not see
it: about two and a half minutes. The first of each pair holds its p99, the second breaks it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

#: profile -> the metric that is blind to its load.
BLIND = {"autoscale-cpu": "memory", "autoscale-memory": "cpu"}


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


def main() -> int:
    """Run all four and say what came of each."""
    failed = 0
    for profile, blind in BLIND.items():
        for metric in ("both", blind):
            out = Path(tempfile.mkdtemp(prefix="autoscale-"))
            command = [sys.executable, "-m", "loadtest.cli", "run", profile, "--out", str(out)]
            command += ["--set", f"target.autoscale.on={metric}"]
            subprocess.run(command, capture_output=True, check=False, timeout=120)
            (folder,) = out.iterdir()
            result = json.loads((folder / "run.json").read_text())
            p99_ms = max((line["fanout"]["p99_ms"] or 0.0 for line in held(folder)), default=0.0)
            delivered = sum(line["fanout"]["delivered"] for line in held(folder))
            holds = delivered > 0 and p99_ms < 250 and result["fanout"]["lost"] == 0
            failed += holds is not (metric == "both")
            sys.stdout.write(
                f"{profile} by {metric}: {scaled(folder)} times scaled, {killed(folder)} nodes killed, {delivered:,} "
                f"delivered in the hold phase, worst second's p99 {p99_ms:.0f} ms, {result['fanout']['lost']:,} lost: "
                f"{'holds' if holds else 'breaks'}\n"
            )
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
