"""The full sizes, by hand on a quiet machine: `python -m tests.truth.full [delays] [stall] [counts] [--only TEXT]`.

    delays   2,000 connections; 1, 10, 100, 1,000, 5,000 ms and 1 ms .. 5 s, each 30 s          about 5 minutes
    stall    2,000 connections, 60 s, a stall of 2 s                                            1.5 minutes
    counts   2,000 connections, 10 million deliveries, one in 10,000 of each kind               9 minutes

Law: no allowance for the machine. Exit code 1 when any figure is out of its bound, or a worker was above 50 % CPU while
times were judged.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.truth.scenario import TIMES, Scenario, comparison, disagreements, run

EVERY = 10_000
MOST_CPU_PERCENT = 50.0
SPREAD_MS = 33


def delays() -> dict[str, Scenario]:
    """Return the scenarios of every delay: 1,500 deliveries a second, some 45,000 in all.

    They are paced: the sends of one publish are spread over the time to the next, since a burst is read one by one and
    what waits meanwhile in the receive queue is another figure.
    """
    kinds = {f"{delay_ms} ms": ["uniform", delay_ms, delay_ms + SPREAD_MS] for delay_ms in (1, 10, 100, 1_000, 5_000)}
    kinds["1 ms .. 5 s"] = ["loguniform", 1, 5_000]
    return {
        f"delays of {name}": Scenario(
            {"delay": kind}, connections=2_000, channels=40, rate_per_s=30, duration_s=30, deadline_s=7, workers=2
        )
        for name, kind in kinds.items()
    }


def stall() -> dict[str, Scenario]:
    """Return the run of 60 s that stands still for 2 s."""
    script = {"stall_at_s": 30, "stall_s": 2}
    scenario = Scenario(script, connections=2_000, channels=40, rate_per_s=30, duration_s=60, deadline_s=5, workers=2)
    return {"a stall of 2 s": scenario}


def counts() -> dict[str, Scenario]:
    """Return the run of ten million deliveries, 20,000 a second."""
    script = {f"{name}_every": EVERY for name in ("drop", "duplicate", "reorder", "late")} | {"late_ms": 3_000}
    scenario = Scenario(script, connections=2_000, channels=20, rate_per_s=200, duration_s=505, deadline_s=2, workers=2)
    return {"ten million": scenario}


KINDS = {"delays": delays, "stall": stall, "counts": counts}


def judge(name: str, scenario: Scenario, folder: Path) -> bool:
    """Run one scenario, say what both accounts have, and whether they agree."""
    outcome = run(scenario, folder, timeout_s=scenario.duration_s * 2 + 120)
    cpu = outcome.result["generator"]["cpu_max_percent"]
    timed = name != "ten million"
    found = disagreements(outcome, strict=True)
    if not timed:
        found = [sentence for sentence in found if not sentence.startswith(TIMES)]
    elif cpu > MOST_CPU_PERCENT:
        found.append(f"a worker was at {cpu:.0f} % CPU")
    verdict, idle = outcome.result["verdict"], 100 * outcome.idle
    say(f"\n{name}: {verdict}, worker CPU at most {cpu:.0f} %, machine idle {idle:.0f} %")
    for figure, reported, true, bound in comparison(outcome, strict=True):
        say(f"  {figure:20} {reported if reported is not None else float('nan'):16.6g} {true:16.6g}  +-{bound:.3g}")
    say("\n".join(f"  WRONG {sentence}" for sentence in found) or "  agree")
    return not found


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description="Hold the harness against the calibrated target at full size.")
    parser.add_argument("kinds", nargs="*", choices=[[], *KINDS], default=[])
    parser.add_argument("--only", default="", help="only the scenarios whose name holds this text")
    parser.add_argument("--keep", type=Path, help="folder for both accounts; default: a temporary one")
    arguments = parser.parse_args()
    scenarios = {name: scenario for kind in arguments.kinds or list(KINDS) for name, scenario in KINDS[kind]().items()}
    scenarios = {name: scenario for name, scenario in scenarios.items() if arguments.only in name}
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        results = [
            judge(name, scenario, folder / name.replace(" ", "-").replace(".", ""))
            for name, scenario in scenarios.items()
        ]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
